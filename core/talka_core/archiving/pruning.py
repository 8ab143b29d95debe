"""How much of the beginning of a log that executions share may go: of a pool, or of a shard's roster.

Whatever concerns an execution that is not archived stays, and all that came
after it. What goes is summed up in a base, the state right behind it, from which
the rest of the log is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from talka_protocols.commit import Commit
from talka_protocols.events import Event, GangGranted, Holder, LogsClosed, LogsOpened


def executions_in(event: Event) -> Iterator[str]:
    """Yield the ids of the executions that an event of a pool or of a roster concerns."""
    if isinstance(event, LogsOpened | LogsClosed):
        yield from event.keys
        return
    if isinstance(event, GangGranted):
        for granted in event.grants:
            yield from executions_in(granted)
        return
    fact: Any = event
    holder: Any = getattr(fact, "holder", None)
    for name in ("allocation_id", "by"):
        named: str = getattr(fact, name, "")
        execution_id, slash, _ = named.partition("/")
        if slash:
            yield execution_id
    # Who took a pool or a shard over is called its holder, too.
    if isinstance(holder, Holder) and holder.execution_id:
        yield holder.execution_id


class Extent:
    """How much of a log may go, found out commit by commit from its beginning.

    What was recorded at or after ``before`` (milliseconds) stays. ``position`` is that of the last commit
    that may go, 0 if none may, and ``held_by`` the execution that holds up the next one, if one does.
    """

    def __init__(self, is_archived: Callable[[str], bool], before: int) -> None:
        self.position = 0
        self.held_by = ""
        self._is_archived = is_archived
        self._before = before

    def takes(self, position: int, commit: Commit[Event]) -> bool:
        """Tell whether the next commit may go too; nothing is asked after one that may not."""
        if commit.at >= self._before:
            return False
        for _version, _cause, event in commit.events():
            for execution_id in executions_in(event):
                if not self._is_archived(execution_id):
                    self.held_by = execution_id
                    return False
        self.position = position
        return True
