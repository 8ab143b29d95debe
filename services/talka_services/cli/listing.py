"""``talka list``: executions, from the read model if there is one, else from their logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from talka_services.cli.command import Target, command
from talka_services.cli.figures import Since, since_ms, tell_lag
from talka_services.cli.models import Database, Lag, fresh_model, place_of
from talka_services.cli.outcome import UsageError
from talka_services.cli.queries import elapsed, status_document
from talka_services.cli.screen import coloured, console, local_time, plain, print_json, print_table
from talka_services.databases import is_there
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_protocols.results import ExecutionStatus

AT_ONCE = 8

StatusFilter = Annotated[str | None, typer.Option("--status", help="Only executions in this state.")]
Name = Annotated[
    str, typer.Option("--name", metavar="TEXT", help="Only those with this in the workflow's name or the id.")
]
OnlyArchived = Annotated[
    bool, typer.Option("--archived", help="Only those that are archived, and where each lies.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="The most executions to show.")]


class Wanted(Struct, frozen=True):
    """Which executions are asked for; ``since`` is milliseconds since the epoch."""

    status: str
    name: str
    since: int
    limit: int
    is_archived: bool


class Found(Struct, frozen=True):
    """The executions; of a read model also those that are broken, and how far it is behind."""

    statuses: Sequence[ExecutionStatus]
    broken: Sequence[tuple[str, str]] = ()
    lag: Lag | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "list")(list_executions)


def list_executions(
    target: Target,
    status: StatusFilter = None,
    name: Name = "",
    since: Since = None,
    limit: Limit = 50,
    archived: OnlyArchived = False,
    database: Database = None,
) -> None:
    """List executions, newest first.

    It asks the read model if there is one, which is quick however many there
    are, and else reads every execution's log.
    """
    from talka_protocols.states import ExecutionState

    if status is not None and status not in list(ExecutionState):
        raise UsageError(
            f"There is no state {status!r}.",
            hint=f"States: {', '.join(state.value for state in ExecutionState)}.",
        )
    wanted = Wanted(status or "", name, since_ms(since, round(time.time() * 1000)), limit, archived)
    place = place_of(target, database) if database or not target.server else ""
    is_asked = bool(database) or (bool(place) and is_there(place))
    found = run_loop(_modelled(target, place, wanted) if is_asked else _folded(target, wanted))
    if target.is_json:
        print_json({"executions": [status_document(item) for item in found.statuses]})
    else:
        _print(found.statuses, is_archived=archived)
    for execution_id, reason in found.broken:
        console(is_error=True).print(f"{plain(execution_id)} is broken: {plain(reason)}")
    if found.lag is not None:
        tell_lag(found.lag)


def _print(statuses: Sequence[ExecutionStatus], *, is_archived: bool) -> None:
    rows = (
        (
            plain(item.execution_id),
            plain(item.name if item.parent is None else f"{item.name} (part of {item.parent.execution_id})"),
            coloured(item.status.value) + (", archived" if item.archived else ""),
            f"{item.done}/{item.total}",
            local_time(item.started_at),
            plain(item.archived) if is_archived else elapsed(item),
        )
        for item in statuses
    )
    last = "lies at" if is_archived else "took"
    print_table(("execution", "name", "status", "tasks", "started", last), rows, right=("tasks", "took"))


async def _modelled(target: Target, place: str, wanted: Wanted) -> Found:
    from talka_services.projection import queries

    async with fresh_model(target, place) as model:
        found = await asyncio.to_thread(
            queries.executions,
            model.view,
            status=wanted.status,
            name=wanted.name,
            since=wanted.since,
            limit=wanted.limit,
            is_archived=wanted.is_archived,
        )
        return Found(found.statuses, found.broken, await model.lag())


async def _folded(target: Target, wanted: Wanted) -> Found:
    from talka_core.status import status_of

    states = [state for state in await _executions(target) if state.accepted_at >= wanted.since]
    states.sort(key=lambda state: (-state.accepted_at, state.execution_id))
    text = wanted.name.lower()
    chosen = [
        item
        for item in map(status_of, states)
        if (not wanted.status or item.status == wanted.status)
        and (item.archived or not wanted.is_archived)
        and (text in item.name.lower() or text in item.execution_id.lower())
    ]
    return Found(chosen[: wanted.limit])


async def _executions(target: Target) -> list[ExecutionRecord]:
    from talka_services.cli.records import open_records
    from talka_services.client.recollecting import executions_on_record

    async with open_records(target) as records:
        return await executions_on_record(records.histories)
