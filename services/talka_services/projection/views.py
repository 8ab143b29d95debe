"""The read model as a recorder of ``eventsourcing`` that tracks what it has processed.

The rows that some commits change, where the model stands, and the library's
tracking of the notification are written in one transaction, so whatever is
interrupted is there wholly or not at all. Where it stands is compared in the
same transaction: of two projectors that know the same place one goes on, and
the other looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from sqlite3 import Error as SQLiteError
from typing import Any, Protocol

from eventsourcing.persistence import PersistenceError, Tracking, TrackingRecorder
from eventsourcing.sqlite import SQLiteDatastore, SQLiteTrackingRecorder
from msgspec import Struct
from msgspec.structs import astuple

from talka_core.readmodel import FORGOTTEN, TABLES, Changes
from talka_protocols.errors import CallerError
from talka_services.projection.schema import SCHEMA, Schema

AGAIN_HINT = "`talka projection rebuild` makes it anew from the log."


DATABASE_ERRORS = (PersistenceError, SQLiteError)
"""What a database that fails raises; the library lets some of those of SQLite through as they are."""


class MovedError(Exception):
    """Somebody else has moved the model, or made it anew: look again where it stands."""


class Standing(Struct, frozen=True):
    """Where a model stands: up to which notification of which log; rebuilding begins another generation."""

    generation: int
    position: int
    source: str


class View(Protocol):
    """A read model that projectors write and commands ask."""

    place: str

    def standing(self, source: str) -> Standing:
        """Return where the model stands, which is empty before it was first written for this log.

        Raises:
            CallerError: it is of another log, or of another version of Talka.
        """
        ...

    def record(self, changes: Changes, before: Standing, position: int) -> Standing:
        """Write changes and that they go up to a position, wholly or not at all.

        Raises:
            MovedError: the model does not stand where it stood ``before``.
            PersistenceError: the database failed; whether it was written is to be looked up.
        """
        ...

    def reset(self, source: str) -> Standing:
        """Empty the model, for another generation, whatever wrote it."""
        ...

    def select(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows; ``{p}`` stands for the tables' prefix and ``?`` for a value."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...


class Writing(TrackingRecorder):
    """What both databases do alike, with cursors of their own."""

    schema: Schema
    place: str
    create_table: Callable[[], None]
    _datastore: Any
    _track: Callable[[Any, Tracking], None]

    def _transaction(self, *, commit: bool) -> AbstractContextManager[Any]:
        opened: AbstractContextManager[Any] = self._datastore.transaction(commit=commit)
        return opened

    def make(self) -> None:
        """Make the tables unless they are there."""
        self.create_table()
        with self._transaction(commit=True) as cursor:
            for statement in self.schema.create():
                cursor.execute(statement)

    def standing(self, source: str) -> Standing:
        """Return where the model stands; see ``View``."""
        found = self.select("SELECT schema_version, generation, position, source FROM {p}projection")
        if not found:
            return self._begin(source)
        version, generation, position, written_for = found[0]
        if version != SCHEMA:
            raise CallerError(
                f"The read model {self.place} was made by another version of Talka.", hint=AGAIN_HINT
            )
        if written_for != source:
            raise CallerError(
                f"The read model {self.place} is that of another log ({written_for}, not {source}).",
                hint=f"Name another database, or: {AGAIN_HINT}",
            )
        return Standing(generation, position, source)

    def record(self, changes: Changes, before: Standing, position: int) -> Standing:
        """Write changes and how far they go; see ``View``."""
        with self._transaction(commit=True) as cursor:
            self._move(cursor, before, position)
            self._forget(cursor, changes)
            for table in TABLES:
                self._write(cursor, table, changes)
            self._track(cursor, Tracking(_tracked(before), position))
        return Standing(before.generation, position, before.source)

    def reset(self, source: str) -> Standing:
        """Empty the model; see ``View``."""
        mark, table = self.schema.mark, f"{self.schema.prefix}projection"
        with self._transaction(commit=True) as cursor:
            cursor.execute(f"UPDATE {table} SET generation = generation + 1")  # noqa: S608
            cursor.execute(f"SELECT generation FROM {table}")  # noqa: S608
            found = cursor.fetchone()
            generation = int(_first(found)) if found else 1
            for statement in (*self.schema.drop(), *self.schema.create()):
                cursor.execute(statement)
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608
            marks = ", ".join([mark] * 5)
            cursor.execute(
                f"INSERT INTO {table} VALUES ({marks})",  # noqa: S608
                (1, SCHEMA, generation, 0, source),
            )
        return Standing(generation, 0, source)

    def select(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows; see ``View``."""
        with self._transaction(commit=False) as cursor:
            text = statement.replace("{p}", self.schema.prefix).replace("?", self.schema.mark)
            cursor.execute(text, tuple(values))
            return [_values(row) for row in cursor.fetchall()]

    def close(self) -> None:
        """Close the database."""
        self._datastore.close()

    def _begin(self, source: str) -> Standing:
        mark = self.schema.mark
        with self._transaction(commit=True) as cursor:
            cursor.execute(
                f"INSERT INTO {self.schema.prefix}projection VALUES (1, {mark}, 1, 0, {mark}) "  # noqa: S608
                "ON CONFLICT (id) DO NOTHING",
                (SCHEMA, source),
            )
        return self.standing(source)

    def _move(self, cursor: Any, before: Standing, position: int) -> None:
        mark = self.schema.mark
        cursor.execute(
            f"UPDATE {self.schema.prefix}projection SET position = {mark} "  # noqa: S608
            f"WHERE position = {mark} AND generation = {mark} AND source = {mark} RETURNING position",
            (position, before.position, before.generation, before.source),
        )
        if cursor.fetchone() is None:
            raise MovedError

    def _forget(self, cursor: Any, changes: Changes) -> None:
        for table in FORGOTTEN if changes.forgotten else ():
            statement = f"DELETE FROM {self.schema.prefix}{table} WHERE execution_id = {self.schema.mark}"  # noqa: S608
            cursor.executemany(statement, [(name,) for name in changes.forgotten])
        if changes.archived:
            statement = f"DELETE FROM {self.schema.prefix}allocations WHERE execution_id = {self.schema.mark}"  # noqa: S608
            cursor.executemany(statement, [(name,) for name in changes.archived])
        self._shorten(cursor, changes)

    def _shorten(self, cursor: Any, changes: Changes) -> None:
        """Remove what was kept of parts of logs that have left the server since."""
        prefix, mark = self.schema.prefix, self.schema.mark
        if changes.unanchored:
            statement = f"DELETE FROM {prefix}anchors WHERE log = {mark} AND position < {mark}"  # noqa: S608
            cursor.executemany(statement, list(changes.unanchored.items()))
        if changes.unallocated:
            statement = (
                f"DELETE FROM {prefix}allocations WHERE pool = {mark} AND freed_at > 0 AND freed_at < {mark} "  # noqa: S608
                "AND COALESCE(execution_id, '') = ''"
            )
            cursor.executemany(statement, list(changes.unallocated.items()))

    def _write(self, cursor: Any, table: str, changes: Changes) -> None:
        if removed := changes.removed(table):
            cursor.executemany(self.schema.deletes[table], removed)
        if rows := changes.rows(table):
            cursor.executemany(self.schema.upserts[table], [astuple(row) for row in rows])


class SQLiteView(Writing, SQLiteTrackingRecorder):
    """The read model in a SQLite file."""

    def __init__(self, path: str) -> None:
        self.place = path
        self.schema = Schema("", "?", "CREATE VIEW IF NOT EXISTS")
        super().__init__(SQLiteDatastore(path, lock_timeout=30))
        self._datastore = self.datastore
        self._track = self._insert_tracking


def _tracked(standing: Standing) -> str:
    """Return the name under which the library tracks a generation of a model."""
    return f"{standing.source}#{standing.generation}"


def _values(row: Any) -> tuple[Any, ...]:
    return tuple(row.values()) if hasattr(row, "values") else tuple(row)


def _first(row: Any) -> Any:
    return next(iter(_values(row)))


def identity_rows(view: View) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Yield every table with all its rows in order of their keys, to compare two models."""
    for table, (_, width) in TABLES.items():
        order = ", ".join(str(number) for number in range(1, width + 1))
        yield table, view.select(f"SELECT * FROM {{p}}{table} ORDER BY {order}")  # noqa: S608
