"""What some commits change in the read model, added up: one row is written once however often it changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from talka_core.readmodel.rows import TABLES, Row

Key = tuple[object, ...]

_TABLE_OF: dict[type[Row], tuple[str, int]] = {kind: (name, width) for name, (kind, width) in TABLES.items()}


FORGOTTEN = ("tasks", "attempts")
"""The tables whose rows go when an execution is forgotten."""


class Changes:
    """Rows to be written and keys to be removed, by table; and what is to be looked at when all are folded.

    ``forgotten`` are executions of which nothing but their own row stays.
    ``archived`` are those of them whose allocations are forgotten as well.
    ``unanchored`` are the logs of which nothing that was noted before a position is kept, and
    ``unallocated`` the pools of which the allocations that clients freed before an instant are not.
    ``executions`` are those whose own row changes, with the place of their
    newest commit. ``tasks`` are those of their tasks that do, None for all.
    """

    def __init__(self) -> None:
        self.executions: dict[str, int] = {}
        self.tasks: dict[str, dict[str, None] | None] = {}
        self.forgotten: dict[str, None] = {}
        self.archived: dict[str, None] = {}
        self.unanchored: dict[str, int] = {}
        self.unallocated: dict[str, int] = {}
        self._rows: dict[str, dict[Key, Row]] = {name: {} for name in TABLES}
        self._removed: dict[str, dict[Key, None]] = {name: {} for name in TABLES}

    def put(self, row: Row) -> None:
        """Write a row, over what was to be written there before."""
        table, width = _TABLE_OF[type(row)]
        values = msgspec.structs.astuple(row)
        key = values[:width]
        rows = self._rows[table]
        if (before := rows.get(key)) is not None:
            old = msgspec.structs.astuple(before)
            row = type(row)(*(o if n is None else n for o, n in zip(old, values, strict=True)))
        rows[key] = row
        self._removed[table].pop(key, None)

    def remove(self, table: str, key: Key) -> None:
        """Remove a row."""
        self._rows[table].pop(key, None)
        self._removed[table][key] = None

    def forget(self, execution_id: str) -> None:
        """Remove all rows of an execution's tasks and attempts, written or noted."""
        self.forgotten[execution_id] = None
        self.executions.pop(execution_id, None)
        self.tasks.pop(execution_id, None)
        for table in FORGOTTEN:
            for noted in (self._rows[table], self._removed[table]):
                for key in [key for key in noted if key[0] == execution_id]:
                    del noted[key]

    def archive(self, execution_id: str, position: int) -> None:
        """Keep nothing of an execution but its own row, which changes: what is archived is in its file."""
        self.forget(execution_id)
        self.executions[execution_id] = position
        self.archived[execution_id] = None
        rows = self._rows["allocations"]
        for key in [key for key in rows if str(key[1]).startswith(f"{execution_id}/")]:
            del rows[key]

    def unanchor(self, log: str, before: int) -> None:
        """Keep nothing that was noted of a log before a position: what it was noted of is gone by rights."""
        self.unanchored[log] = max(before, self.unanchored.get(log, 0))
        rows = self._rows["anchors"]
        for key in [key for key in rows if key[0] == log and int(str(key[1])) < before]:
            del rows[key]

    def touch(self, execution_id: str, tasks: Iterable[str] | None) -> None:
        """Have tasks of an execution looked at again when the commits are over, None for all of them."""
        if tasks is None:
            self.tasks[execution_id] = None
            return
        known = self.tasks.setdefault(execution_id, {})
        if known is not None:
            known.update(dict.fromkeys(tasks))

    def rows(self, table: str) -> list[Row]:
        """Return the rows of a table that are to be written."""
        return list(self._rows[table].values())

    def removed(self, table: str) -> list[Key]:
        """Return the keys of a table that are to be removed."""
        return list(self._removed[table])

    def __iter__(self) -> Iterator[Row]:
        for rows in self._rows.values():
            yield from rows.values()
