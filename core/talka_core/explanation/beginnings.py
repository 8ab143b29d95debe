"""Why an execution has no tasks yet: its time, its plan, or its first commit is still to come."""

from __future__ import annotations

from collections.abc import Collection

from talka_core.explanation.picture import Picture, seconds, span
from talka_core.planner import PlanRecord
from talka_core.scheduler import ExecutionRecord
from talka_core.spelling import did_you_mean
from talka_core.starter import ScheduleRecord
from talka_protocols.errors import RequestRefusedError
from talka_protocols.explanations import Cause, CauseKind
from talka_protocols.states import ExecutionState


def not_begun(picture: Picture, execution_id: str, task_id: str) -> list[Cause]:
    """Return why the execution has no tasks; nothing if nobody has heard of it.

    Raises:
        RequestRefusedError: its workflow is known and has no such task.
    """
    state, plan = picture.executions.get(execution_id), picture.plans.get(execution_id)
    if state is not None and state.status is ExecutionState.REJECTED:
        return [_cause(CauseKind.REJECTED, execution_id, task_id, _refused(state.reason))]
    if plan is not None:
        return [_planned(plan, execution_id, task_id, state)]
    schedule = picture.schedules.get(f"at-{execution_id}")
    if schedule is not None and schedule.version:
        return [_scheduled(picture, schedule, execution_id, task_id)]
    return []


def unknown_task(execution_id: str, task_id: str, known: Collection[str]) -> RequestRefusedError:
    """Return the error for a task that an execution does not have, with the closest that it has."""
    return RequestRefusedError(
        f"Execution {execution_id!r} has no task {task_id!r}.",
        code="unknown_task",
        hint=did_you_mean(task_id, known, label="Its tasks"),
    )


def _planned(plan: PlanRecord, execution_id: str, task_id: str, state: ExecutionRecord | None) -> Cause:
    known = [task.id for task in plan.workflow.tasks] if plan.workflow else []
    if known and task_id and task_id not in known:
        raise unknown_task(execution_id, task_id, known)
    if plan.refusal is not None:
        return _cause(CauseKind.REJECTED, execution_id, task_id, _refused(plan.refusal.message))
    if not plan.is_decided:
        return _cause(
            CauseKind.NOT_PLANNED,
            execution_id,
            task_id,
            "The workflow was submitted, and the planner has not taken it up yet.",
            "The planner's decision; check that the planner service runs.",
        )
    begun = "has recorded it and not begun" if state and state.version else "has not recorded it yet"
    return _cause(
        CauseKind.NOT_RECORDED,
        execution_id,
        task_id,
        f"The planner has accepted the workflow, and the scheduler {begun}.",
        "The scheduler's first decision; check that the scheduler service runs.",
    )


def _scheduled(picture: Picture, schedule: ScheduleRecord, execution_id: str, task_id: str) -> Cause:
    if schedule.is_paused:
        return _cause(
            CauseKind.SCHEDULE_PAUSED,
            execution_id,
            task_id,
            f"The execution is to start by the schedule {schedule.name!r}, which is paused.",
            f"`talka schedule resume {schedule.name}` lets it go on.",
        )
    due_at = schedule.next_at or schedule.queued_at
    if due_at > picture.now_ms:
        said = f"The execution starts in {span(due_at - picture.now_ms)}, by the schedule {schedule.name!r}."
    else:
        said = f"The schedule {schedule.name!r} was due to start it; the planner has not recorded that."
    return _cause(
        CauseKind.START_TIME,
        execution_id,
        task_id,
        said,
        f"Time; `talka schedule remove {schedule.name}` gives it up.",
        until=seconds(due_at),
    )


def _cause(
    kind: CauseKind,
    execution_id: str,
    task_id: str,
    sentence: str,
    remedy: str = "",
    until: float | None = None,
) -> Cause:
    return Cause(kind, sentence, remedy, execution_id, task_id, until=until)


def _refused(reason: str) -> str:
    return f"The planner refused the workflow, so nothing will run: {reason}"
