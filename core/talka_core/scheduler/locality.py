"""Where a task would rather run: on the worker that holds what it takes in."""

from __future__ import annotations

from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import ANYWHERE, Affinity
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import INLINE_BYTES_MAX


def near(state: ExecutionRecord, task_id: str) -> str:
    """Return the worker that ran what gives the task most, or nothing if all that it takes in is small.

    What a predecessor gives is its result, if that is too large for the log,
    and before any result the artifacts it declares to write for this task:
    they may be files of that worker.
    """
    reads = state.index.tasks[task_id].reads
    best, most = "", INLINE_BYTES_MAX
    for source in state.index.predecessors[task_id]:
        record = state.tasks[source]
        if record.status is not TaskStatus.SUCCEEDED or not record.worker_id:
            continue
        if reads and not set(reads).isdisjoint(state.index.tasks[source].writes):
            return record.worker_id
        size = record.claim.bytes if record.claim is not None else 0
        if size > most:
            best, most = record.worker_id, size
    return best


def affinity_of(state: ExecutionRecord, task_id: str) -> Affinity:
    """Return which workers the pool may choose from for a queued task."""
    task, near_to = state.index.tasks[task_id], state.tasks[task_id].near
    if not (task.requires or task.prefers or near_to):
        return ANYWHERE
    return Affinity(task.requires, task.prefers, near_to)
