"""The roster of a shard: which of its logs are live, so that a takeover folds only those."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct, field

from talka_protocols.events import LogsClosed, LogsOpened, OwnershipTaken, ShardEvent


class RosterRecord(Struct):
    """A shard's live logs by key, in the order they were opened; ``epoch`` is its owner's."""

    shard: str
    version: int = 0
    epoch: int = 0
    live: dict[str, None] = field(default_factory=dict[str, None])


def evolve_roster(state: RosterRecord, event: ShardEvent, _at: int) -> None:
    """Remember one fact; total, and nothing else."""
    state.version += 1
    match event:
        case OwnershipTaken():
            state.epoch = event.epoch
        case LogsOpened():
            state.live |= dict.fromkeys(event.keys)
        case LogsClosed():
            for key in event.keys:
                state.live.pop(key, None)
        case _:
            assert_never(event)
