"""The tables of the read model in SQL that SQLite and PostgreSQL both take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

from talka_core.readmodel import TABLES, Row

SCHEMA = 2
"""Raised whenever tables or what is said in them change; a model of another schema is made anew."""

_TYPES = {str: "TEXT", int: "BIGINT", float: "DOUBLE PRECISION"}
_INDEXES = {
    "executions": ("accepted_at", "status", "name"),
    "attempts": ("agent_type",),
    "allocations": ("execution_id",),
}


class Schema:
    """Statements on tables whose names begin with ``prefix``; ``mark`` stands for a value.

    ``view`` makes a view that may be there already: each database has words of its own for that.
    """

    def __init__(self, prefix: str, mark: str, view: str) -> None:
        self.prefix = prefix
        self.mark = mark
        self._view = view
        self.upserts = {table: self._upsert(table) for table in TABLES}
        self.deletes = {
            table: f"DELETE FROM {prefix}{table} WHERE "  # noqa: S608  (no name comes from outside)
            + " AND ".join(f"{column} = {mark}" for column in columns(table)[: TABLES[table][1]])
            for table in TABLES
        }

    def create(self) -> Iterator[str]:
        """Yield what makes the tables; where all are there nothing is written, so nobody is waited for."""
        prefix = self.prefix
        yield (
            f"CREATE TABLE IF NOT EXISTS {prefix}projection (id BIGINT PRIMARY KEY, schema_version BIGINT, "
            "generation BIGINT, position BIGINT, source TEXT)"
        )
        for table, (row, width) in TABLES.items():
            hints = get_type_hints(row)
            named = ", ".join(f"{column} {_type(hints[column])}" for column in columns(table))
            key = ", ".join(columns(table)[:width])
            yield f"CREATE TABLE IF NOT EXISTS {prefix}{table} ({named}, PRIMARY KEY ({key}))"
            for column in _INDEXES.get(table, ()):
                yield (
                    f"CREATE INDEX IF NOT EXISTS {prefix}{table}_{column}_index ON {prefix}{table} ({column})"
                )
        yield (
            f"{self._view} {prefix}durations AS SELECT execution_id, task_id, attempt, agent_type, "  # noqa: S608
            "COALESCE(outcome, '') AS outcome, ready_at, finished_at, "
            "CASE WHEN ready_at > 0 AND scheduled_at >= ready_at THEN scheduled_at - ready_at END "
            "AS wait_ms, "
            "CASE WHEN started_at > 0 AND finished_at >= started_at THEN finished_at - started_at END "
            f"AS run_ms FROM {prefix}attempts"
        )

    def drop(self) -> Iterator[str]:
        """Yield what takes the tables away, but for the one that says where the model stands."""
        yield f"DROP VIEW IF EXISTS {self.prefix}durations"
        for table in TABLES:
            yield f"DROP TABLE IF EXISTS {self.prefix}{table}"

    def _upsert(self, table: str) -> str:
        names, width = columns(table), TABLES[table][1]
        full = f"{self.prefix}{table}"
        marks = ", ".join(self.mark for _ in names)
        said = ", ".join(f"{name} = COALESCE(excluded.{name}, {full}.{name})" for name in names[width:])
        return (
            f"INSERT INTO {full} ({', '.join(names)}) VALUES ({marks}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(names[:width])}) DO UPDATE SET {said}"
        )


def columns(table: str) -> tuple[str, ...]:
    """Return the names of a table's columns, its key first."""
    row: type[Row] = TABLES[table][0]
    return row.__struct_fields__


def _type(hint: Any) -> str:
    return next(sql for kind, sql in _TYPES.items() if hint in (kind, kind | None))
