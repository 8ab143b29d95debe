"""Which logs of schedules and triggers must be there: those that the rosters of their shards call live."""

from __future__ import annotations

from collections.abc import Collection

from talka_protocols.commit import Commit
from talka_protocols.events import Event, LogsClosed, LogsOpened
from talka_protocols.messages import Recipient
from talka_protocols.subjects import SCHEDULE, SHARD, TRIGGER, LogName

OWNERS = {Recipient.STARTER.value: SCHEDULE, Recipient.TRIGGER.value: TRIGGER}
"""What the rosters are named after that list such logs, and the kind that each lists."""


def listed_by(roster: str) -> str:
    """Return the kind of the logs that a roster lists, empty if these are of another kind."""
    return OWNERS.get(roster.rpartition("-")[0], "")


class Rosters:
    """The live logs of a namespace, commit by commit."""

    def __init__(self) -> None:
        self._live: set[str] = set()

    def begin(self, roster: LogName, live: Collection[str]) -> None:
        """Let a roster whose log was pruned begin with these keys."""
        if kind := listed_by(roster.key):
            self._live.update(f"{kind}.{key}" for key in live)

    def take(self, log: LogName, commit: Commit[Event]) -> None:
        """Take the next commit of any log."""
        kind = listed_by(log.key) if log.kind == SHARD else ""
        if not kind:
            return
        for _version, _cause, event in commit.events():
            if isinstance(event, LogsOpened):
                self._live.update(f"{kind}.{key}" for key in event.keys)
            elif isinstance(event, LogsClosed):
                self._live.difference_update(f"{kind}.{key}" for key in event.keys)

    def may_be_gone(self, log: str) -> bool:
        """Tell whether it is no fault that the whole log of this name is missing."""
        return log.partition(".")[0] in OWNERS.values() and log not in self._live
