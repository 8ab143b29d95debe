"""Facts about allocations: handed on, kept, returned and settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.state import ExecutionRecord, Kept, Return, TaskRecord
from talka_protocols import events as e
from talka_protocols.events import Holder
from talka_protocols.states import Health


def _handed_on(state: ExecutionRecord, event: e.AllocationHandedOn, _at: int) -> None:
    kept = state.kept.pop(event.allocation_id, None)
    _let_go(state, state.tasks[event.from_task])
    holder = Holder(state.execution_id, event.to_task, event.attempt)
    before = state.handing.get(event.allocation_id)
    health = kept.health if kept else event.health
    failed = _failed(before, event.fence - 1, health)
    state.handing[event.allocation_id] = Return(holder, event.fence, failed)


def _failed(before: Return | None, fence: int, health: Health) -> tuple[int, ...]:
    """Return the failures that the pool may not know of, with that of the attempt at ``fence``."""
    earlier = before.failed if before else ()
    return (*earlier, fence) if health is Health.BAD else earlier


def _kept(state: ExecutionRecord, event: e.AllocationKept, _at: int) -> None:
    state.kept[event.allocation_id] = Kept(event.task_id, event.until, event.health)


def _returned(
    state: ExecutionRecord, event: e.AllocationReleased | e.AllocationRequestWithdrawn, _at: int
) -> None:
    allocation = event.allocation_id
    kept, handing = state.kept.pop(allocation, None), state.handing.pop(allocation, None)
    said = event.health if isinstance(event, e.AllocationReleased) else Health.UNKNOWN
    health = kept.health if kept else said
    if (task_id := state.holder_of(allocation)) is not None:
        record = state.tasks[task_id]
        give_back(state, task_id, record, _failed(handing, record.fence, health), health)
    elif handing:
        state.returning[allocation] = handing


def give_back(
    state: ExecutionRecord,
    task_id: str,
    record: TaskRecord,
    failed: tuple[int, ...] = (),
    health: Health = Health.UNKNOWN,
) -> None:
    """Let what the task holds, or has asked for, be on its way back to the pool."""
    holder = Holder(state.execution_id, task_id, record.attempt)
    state.returning[record.allocation_id] = Return(holder, record.fence, failed, health)
    _let_go(state, record)


def _settled(state: ExecutionRecord, event: e.AllocationSettled, _at: int) -> None:
    state.returning.pop(event.allocation_id, None)


def _hand_on_settled(state: ExecutionRecord, event: e.HandOnSettled, _at: int) -> None:
    handing = state.handing.get(event.allocation_id)
    if handing and handing.fence <= event.fence:
        del state.handing[event.allocation_id]


def _permit_withdrawn(state: ExecutionRecord, event: e.PermitWithdrawn, _at: int) -> None:
    if (task_id := state.holder_of(event.allocation_id)) is not None:
        state.tasks[task_id].hands = 0


def _let_go(state: ExecutionRecord, record: TaskRecord) -> None:
    state.holders.pop(record.allocation_id, None)
    record.allocation_id, record.hands = "", 0


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.AllocationHandedOn: _handed_on,
    e.AllocationKept: _kept,
    e.AllocationReleased: _returned,
    e.AllocationRequestWithdrawn: _returned,
    e.AllocationSettled: _settled,
    e.HandOnSettled: _hand_on_settled,
    e.PermitWithdrawn: _permit_withdrawn,
}
