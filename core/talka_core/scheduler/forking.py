"""A new execution from any event of another one: what had ended there is kept, and the rest runs anew.

What is kept was done by the origin and stays its own: the fork neither runs
nor undoes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Origin, TaskAdopted
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus


def origin_of(state: ExecutionRecord) -> Origin:
    """Return what a fork of the execution, as it is in this state, takes over.

    Raises:
        RequestRefusedError: it cannot be forked there.
    """
    _check(state)
    wrote: dict[str, list[str]] = {}
    for name, artifact in state.artifacts.items():
        wrote.setdefault(artifact.task_id, []).append(name)
    kept = (
        _adopted(state, task_id, record, wrote.get(task_id, []))
        for task_id, record in state.tasks.items()
        if _is_kept(record)
    )
    return Origin(state.execution_id, state.version, tuple(kept))


def adopt(state: ExecutionRecord) -> Iterator[TaskAdopted]:
    """Take over what has not been taken over yet."""
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
    undone = [task_id for task_id, record in state.tasks.items() if record.status in _UNDONE]
    if state.added or undone:
        culprit = (state.added[0].by or state.added[0].reason) if state.added else undone[0]
        raise RequestRefusedError(
            f"At event {state.version} tasks had been added to the graph by {culprit!r}, "
            "and a fork begins with the tasks of the definition alone.",
            hint="Choose an event before that: what adds them then does so anew.",
            code="has_added_tasks",
        )


_UNDONE = (TaskStatus.COMPENSATING, TaskStatus.COMPENSATED)


def _is_kept(record: TaskRecord) -> bool:
    """Tell whether the task came to an end of its own: what was stopped with everything else did not."""
    is_stopped = record.status is TaskStatus.CANCELLED and not record.because and not record.is_unwanted
    return record.status in FINAL_TASK_STATUSES and not is_stopped


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
    )
