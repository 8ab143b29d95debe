"""A new execution from any event of another one: what had ended there is kept, and the rest runs anew.

What is kept was done by the origin and stays its own: the fork neither runs
nor undoes it. What tasks that are kept had added to the graph is part of it
from the beginning, and so are the items of maps that had ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.index import MAP
from talka_core.scheduler.names import COMPENSATION
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Origin, TaskAdopted, TasksAdded
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus


def origin_of(state: ExecutionRecord) -> Origin:
    """Return what a fork of the execution, as it is in this state, takes over.

    Raises:
        RequestRefusedError: it cannot be forked there.
    """
    _check(state)
    added = tuple(_additions(state))
    known = {task.id for addition in added for task in addition.tasks} | _defined(state)
    wrote: dict[str, list[str]] = {}
    for name, artifact in state.artifacts.items():
        wrote.setdefault(artifact.task_id, []).append(name)
    kept = (
        _adopted(state, task_id, record, wrote.get(task_id, []))
        for task_id, record in state.tasks.items()
        if task_id in known and _is_kept(state, task_id)
    )
    return Origin(state.execution_id, state.version, tuple(kept), added=added)


def adopt(state: ExecutionRecord) -> Iterator[TasksAdded | TaskAdopted]:
    """Take over what has not been taken over yet."""
    yield from list(state.growing)
    yield from list(state.adopting.values())


def _check(state: ExecutionRecord) -> None:
    if state.workflow is None:
        raise RequestRefusedError(
            f"Execution {state.execution_id!r} never began.", hint="Submit a new workflow.", code="not_begun"
        )
    if state.is_rolling_back or state.rollback is not None:
        raise RequestRefusedError(
            f"At event {state.version} the execution was being rolled back.",
            hint="Choose an event before the rollback or after its end.",
            code="rolling_back",
        )


def _is_kept(state: ExecutionRecord, task_id: str) -> bool:
    """Tell whether the task came to an end of its own.

    What was stopped with everything else did not, nor did what a rollback
    undid; a member of a broken group that was undone stays so.
    """
    record = state.tasks[task_id]
    if record.status is TaskStatus.COMPENSATED:
        culprit = state.broken.get(state.index.tasks[task_id].group, "")
        return culprit != "" and state.tasks[culprit].status in FINAL_TASK_STATUSES
    is_stopped = record.status is TaskStatus.CANCELLED and not record.because and not record.is_unwanted
    return record.status in FINAL_TASK_STATUSES and not is_stopped


def _additions(state: ExecutionRecord) -> Iterator[TasksAdded]:
    """Yield what kept tasks added, and the kept items of maps; what others added comes anew."""
    known = _defined(state)
    for addition in state.added:
        is_map = addition.reason == MAP
        is_lost = addition.reason == COMPENSATION or addition.by not in known
        if is_lost or not (is_map or _is_kept(state, addition.by)):
            continue
        tasks = tuple(task for task in addition.tasks if not is_map or _is_kept(state, task.id))
        known |= {task.id for task in tasks}
        edges = tuple(edge for edge in addition.dependencies if {edge.from_task, edge.to_task} <= known)
        if tasks or edges:
            yield TasksAdded(tasks, edges, addition.by, addition.reason)


def _defined(state: ExecutionRecord) -> set[str]:
    assert state.workflow is not None, "what has no workflow is refused"
    return {task.id for task in state.workflow.tasks}


def _adopted(state: ExecutionRecord, task_id: str, record: TaskRecord, wrote: list[str]) -> TaskAdopted:
    return TaskAdopted(
        task_id,
        record.status,
        record.attempt,
        record.started_at,
        record.finished_at,
        record.result,
        record.claim,
        record.extracts,
        record.error,
        record.because,
        record.condition,
        record.is_tolerated,
        record.is_fallback,
        {name: state.artifacts[name].claim for name in wrote},
        record.worker_id,
    )
