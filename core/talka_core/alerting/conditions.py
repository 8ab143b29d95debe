"""The rules: what of an execution, of inboxes and of outcomes is worth an alert."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from talka_core.deadlines.due import Due, dues_of, has_deadlines
from talka_core.graph import duration_of
from talka_core.scheduler import ExecutionRecord
from talka_protocols.alerts import AlertKind, Condition
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

_AWAITED = frozenset({TaskStatus.RUNNING, TaskStatus.WAITING, TaskStatus.RETRYING})
"""A worker, a person, the outside or a timer will end these, so nothing is stuck while there is one."""
_UNDER_WAY = (ExecutionState.ACCEPTED, ExecutionState.RUNNING, ExecutionState.ROLLING_BACK)


class Limits(Struct, frozen=True):
    """From when on it is an alert; durations are in seconds."""

    stuck_s: float = 300.0
    lag_messages: float = 1_000.0
    error_share: float = 0.2
    error_tasks: float = 10.0
    error_window_s: float = 600.0


class Lag(Struct, frozen=True):
    """How many messages wait in the inbox of an actor: its kind, and its shard or id."""

    kind: str
    address: str
    messages: int


def stuck(
    state: ExecutionRecord, seen_at: int, granted_at: Mapping[str, int], now: int, limits: Limits
) -> Condition | None:
    """Tell of an execution that makes no progress and awaits nothing.

    Args:
        state: The execution's.
        seen_at: When its newest event was.
        granted_at: When each pool last granted anything: requests wait for one that grants.
        now: The present, in milliseconds since the epoch as all instants here.
        limits: How long is too long.
    """
    patience = 1000 * limits.stuck_s
    if (state.status or ExecutionState.ACCEPTED) not in _UNDER_WAY or now - seen_at < patience:
        return None
    statuses = {record.status for record in state.tasks.values()}
    if statuses & _AWAITED or any(record.is_paused for record in state.tasks.values()):
        return None
    if TaskStatus.QUEUED in statuses and now - granted_at.get(state.pool, 0) < patience:
        return None
    return Condition(
        AlertKind.STUCK,
        f"execution/{state.execution_id}",
        f"Execution {state.execution_id} has made no progress for {(now - seen_at) // 1000} s: "
        f"{_held_up(statuses)}.",
        f"talka explain {state.execution_id} TASK says what a waiting task lacks.",
        state.execution_id,
    )


def _held_up(statuses: set[TaskStatus]) -> str:
    if TaskStatus.QUEUED in statuses:
        return "its tasks wait for resources, and its pool grants none"
    if TaskStatus.SCHEDULED in statuses:
        return "a worker was given a task and does not start it"
    return "no task is under way, and nothing is awaited"


def threatened(state: ExecutionRecord, now: int) -> Condition | None:
    """Tell of an execution that will miss a deadline, or has missed one and goes on.

    What is left takes its longest path by the tasks' estimates; what runs has had
    its time since it started. Waiting for resources may delay it further.
    """
    workflow = state.workflow
    if workflow is None or not state.started_at or state.status not in _UNDER_WAY:
        return None
    if not has_deadlines(workflow):
        return None
    passed_s = (now - state.started_at) / 1000
    late = [
        (passed_s + rest_s - due.seconds, task_id, due)
        for task_id, (rest_s, due) in _ends(state, workflow, dues_of(workflow), now).items()
    ]
    over = max((each for each in late if each[0] > 0), default=None)
    if over is None:
        return None
    late_s, task_id, due = over
    return Condition(
        AlertKind.DEADLINE_THREATENED,
        f"execution/{state.execution_id}",
        f"Task {task_id!r} of execution {state.execution_id} is due {due.seconds:g} s after the start, "
        f"and by the estimates it ends {late_s:.1f} s too late.",
        f"talka eta {state.execution_id} tells when it will be over; "
        "raise its priority, or add workers to its pool.",
        state.execution_id,
    )


def _ends(
    state: ExecutionRecord, workflow: Workflow, dues: Mapping[str, Due], now: int
) -> dict[str, tuple[float, Due]]:
    """Return for each due task that has not ended in how many seconds it can end at the earliest."""
    before: dict[str, list[str]] = {}
    for edge in workflow.dependencies:
        before.setdefault(edge.to_task, []).append(edge.from_task)
    declared = {task.id: duration_of(task) for task in workflow.tasks}
    rests: dict[str, float] = {}
    for wanted in dues:
        path = [wanted]
        while path:
            needed = _needed(state, path[-1], before)
            missing = [each for each in needed if each not in rests]
            if missing:
                path += missing
                continue
            task_id = path.pop()
            earlier = max((rests[each] for each in needed), default=0.0)
            rests[task_id] = earlier + _own_s(state, task_id, declared[task_id], now)
    return {
        task_id: (rests[task_id], due)
        for task_id, due in dues.items()
        if task_id in state.tasks and state.tasks[task_id].status not in FINAL_TASK_STATUSES
    }


def _needed(state: ExecutionRecord, task_id: str, before: Mapping[str, list[str]]) -> list[str]:
    """Return what a task still has to wait for; what runs or is over waits for nothing."""
    record = state.tasks.get(task_id)
    if record is None or record.status is not TaskStatus.PENDING:
        return []
    return before.get(task_id, [])


def _own_s(state: ExecutionRecord, task_id: str, declared_s: float, now: int) -> float:
    record = state.tasks.get(task_id)
    if record is None or record.status in FINAL_TASK_STATUSES:
        return 0.0
    ran_s = (now - record.started_at) / 1000 if record.status is TaskStatus.RUNNING else 0.0
    return max(0.0, declared_s - ran_s)


def lagging(lag: Lag, limits: Limits) -> Condition | None:
    """Tell of an actor that is far behind its inbox."""
    if lag.messages < limits.lag_messages:
        return None
    return Condition(
        AlertKind.LAG,
        f"inbox/{lag.kind}.{lag.address}",
        f"{lag.messages:,} messages wait for {lag.kind} {lag.address}.",
        f"See whether `talka service {lag.kind}` runs and has the processor for it.",
    )


def failing(agent_type: str, ended: int, failed: int, limits: Limits) -> Condition | None:
    """Tell of an agent type whose tasks fail too often."""
    if ended < limits.error_tasks or failed <= limits.error_share * ended:
        return None
    return Condition(
        AlertKind.ERROR_RATE,
        f"agent_type/{agent_type}",
        f"{failed} of the {ended} tasks of type {agent_type} that ended in the last "
        f"{limits.error_window_s / 60:g} minutes failed.",
        "talka list --status failed, then talka status ID and talka logs ID TASK.",
    )
