"""What the facts of a pool change in the read model."""

from __future__ import annotations

import msgspec

from talka_core.readmodel.changes import Changes
from talka_core.readmodel.rows import AllocationRow
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import PoolEvent


def fold_pool(pool: str, commit: Commit[PoolEvent], changes: Changes) -> None:
    """Note what a commit of a pool's log changes."""
    for _version, _cause, event in commit.events():
        if (row := _allocation(pool, event, commit.at)) is not None:
            changes.put(row)


def _allocation(pool: str, event: PoolEvent, at: int) -> AllocationRow | None:
    match event:
        case e.AllocationQueued():
            asked = _row(pool, event.allocation_id, "queued", event.holder, event.agent_type, event.amounts)
            return msgspec.structs.replace(asked, queued_at=at, freed_at=0)
        case e.AllocationGranted():
            granted = _row(
                pool, event.allocation_id, "granted", event.holder, event.agent_type, event.amounts
            )
            return msgspec.structs.replace(
                granted, worker_id=event.worker_id, fence=event.fence, granted_at=at, freed_at=0
            )
        case e.AllocationHolderChanged():
            changed = _row(pool, event.allocation_id, None, event.holder, None, None)
            return msgspec.structs.replace(changed, fence=event.fence)
        case e.AllocationRevoked():
            return AllocationRow(pool, event.allocation_id, "revoked", _execution_of(event.allocation_id))
        case e.AllocationFreed():
            execution_id = _execution_of(event.allocation_id)
            return AllocationRow(pool, event.allocation_id, "freed", execution_id, freed_at=at)
        case _:
            return None


def _execution_of(allocation_id: str) -> str | None:
    """Return the execution that an allocation was made for: where a log was pruned its grant is not known."""
    execution_id, slash, _ = allocation_id.partition("/")
    return execution_id if slash else None


def _row(
    pool: str,
    allocation_id: str,
    status: str | None,
    holder: e.Holder,
    agent_type: str | None,
    amounts: dict[str, float] | None,
) -> AllocationRow:
    return AllocationRow(
        pool,
        allocation_id,
        status,
        holder.execution_id,
        holder.task_id,
        holder.attempt,
        holder.client_id,
        agent_type,
        amounts=None if amounts is None else msgspec.json.encode(amounts, order="sorted").decode(),
    )
