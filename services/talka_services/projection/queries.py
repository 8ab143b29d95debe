"""What commands ask of a read model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from talka_core.auditing import Anchor, Anchors
from talka_core.readmodel.statistics import Course, KindStatistics, Period, Span, statistics, trend
from talka_protocols.results import ExecutionStatus
from talka_services.projection.views import View

_status = msgspec.json.Decoder(ExecutionStatus)


class Found(Struct, frozen=True):
    """The executions that were asked for, newest first, and those that are broken by id, with the reason."""

    statuses: list[ExecutionStatus]
    broken: list[tuple[str, str]]


def executions(
    view: View,
    *,
    status: str = "",
    name: str = "",
    since: int = 0,
    limit: int = 50,
    is_archived: bool = False,
) -> Found:
    """Return executions; ``name`` is a part of the workflow's name or of the execution's id.

    ``since`` is the earliest time of acceptance in milliseconds. ``is_archived`` leaves out all others.
    """
    where = ["COALESCE(accepted_at, 0) >= ?"]
    parameters: list[Any] = [since]
    if status:
        where.append("status = ?")
        parameters.append(status)
    if is_archived:
        where.append("archived <> ''")
    if name:
        where.append("(LOWER(name) LIKE ? ESCAPE '!' OR LOWER(execution_id) LIKE ? ESCAPE '!')")
        name = name.lower()
        escaped = "".join(f"!{sign}" if sign in "!%_" else sign for sign in name)
        parameters += [f"%{escaped}%"] * 2
    found = view.select(
        f"SELECT execution_id, reason, document FROM {{p}}executions WHERE {' AND '.join(where)} "  # noqa: S608
        "ORDER BY accepted_at DESC, execution_id LIMIT ?",
        [*parameters, limit],
    )
    statuses = [_status.decode(document) for _, _, document in found if document]
    broken = [(execution_id, reason) for execution_id, reason, document in found if not document]
    return Found(statuses, broken)


def anchors(view: View) -> Anchors:
    """Return what was noted of signed commits, by log and position."""
    found: dict[str, dict[int, Anchor]] = {}
    for log, position, version, digest in view.select(
        "SELECT log, position, version, digest FROM {p}anchors"
    ):
        found.setdefault(log, {})[position] = Anchor(version, digest)
    return found


def anchored_ends(view: View) -> dict[str, int]:
    """Return the logs of which something was noted, with the position of the newest."""
    return dict(view.select("SELECT log, MAX(position) FROM {p}anchors GROUP BY log"))


def kinds(view: View, *, agent_type: str = "", since: int = 0) -> list[KindStatistics]:
    """Return what the attempts that ended since then, or have not ended, came to by agent type."""
    statement = (
        "SELECT agent_type, outcome, wait_ms, run_ms FROM {p}durations "
        "WHERE (finished_at IS NULL OR finished_at >= ?)"
    )
    values: list[Any] = [since]
    if agent_type:
        statement += " AND agent_type = ?"
        values.append(agent_type)
    return statistics(
        Span(kind or "", outcome, -1 if wait is None else wait, -1 if run is None else run)
        for kind, outcome, wait, run in view.select(statement, values)
    )


def periods(view: View, *, bucket_ms: int, since: int, until: int, name: str = "") -> Sequence[Period]:
    """Return what happened to executions, bucket by bucket; ``name`` is the workflow's, whole."""
    statement = (
        "SELECT status, started_at, finished_at FROM {p}executions "
        "WHERE (started_at >= ? OR finished_at >= ?) AND started_at > 0"
    )
    first = since // bucket_ms * bucket_ms
    values: list[Any] = [first, first]
    if name:
        statement += " AND name = ?"
        values.append(name)
    return trend((Course(*row) for row in view.select(statement, values)), bucket_ms, since, until)
