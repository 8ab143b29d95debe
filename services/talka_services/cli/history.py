"""``talka events``: what happened, event by event."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, local_time, plain
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.commit import Commit
    from talka_protocols.events import Event
    from talka_protocols.subjects import LogName
    from talka_services.cli.records import Records

LogId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="An execution id, plan:ID, pool:NAME, schedule:NAME, trigger:NAME, or an exported FILE[#ID].",
    ),
]
From = Annotated[int, typer.Option("--from", min=1, metavar="N", help="Begin at event N.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution is over.")]
Type = Annotated[list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")]
OfTask = Annotated[list[str] | None, typer.Option("--task", help="Only events of this task; repeatable.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "events")(events)


def events(
    target: Target,
    log_id: LogId,
    first: From = 1,
    follow: Follow = False,
    types: Type = None,
    tasks: OfTask = None,
) -> None:
    """Print a log event by event; with --json one object a line."""
    _check_types(types or ())
    run_loop(_events(target, log_id, first, frozenset(types or ()), frozenset(tasks or ()), follow=follow))


def _check_types(types: list[str] | tuple[()]) -> None:
    from typing import get_args

    from talka_core.spelling import did_you_mean
    from talka_protocols import events as facts

    unions = (facts.ExecutionEvent, facts.PlanEvent, facts.PoolEvent, facts.ScheduleEvent)
    known = [kind.__name__ for union in unions for kind in get_args(union)]
    for name in types:
        if name not in known:
            raise UsageError(
                f"There is no event type {name!r}.", hint=did_you_mean(name, known, label="Types")
            )


async def _events(
    target: Target,
    log_id: str,
    first: int,
    types: frozenset[str],
    tasks: frozenset[str],
    *,
    follow: bool,
) -> None:
    from talka_protocols.errors import UnknownExecutionError
    from talka_protocols.subjects import POOL, SCHEDULE, TRIGGER
    from talka_services.cli.records import open_execution
    from talka_services.client.tailing import event_document

    kind, wanted = kind_of(log_id)
    async with open_execution(target, wanted) as (records, execution_id):
        key = records.pool if kind == POOL and not records.is_live else execution_id
        name = log_name(records, kind, key)
        if not await records.log.read(name):
            if kind in (POOL, SCHEDULE, TRIGGER):
                raise UsageError(f"There is no {kind} {key!r} here.")
            raise UnknownExecutionError(key)
        is_following = follow and records.is_live
        async with aclosing(_commits(records, name, is_following=is_following)) as commits:
            async for position, commit in commits:
                for version, decision, event in commit.decided():
                    document = event_document(name, position, version, commit.at, decision, event)
                    if version < first or (types and document["type"] not in types):
                        continue
                    if not tasks or document.get("task_id") in tasks:
                        _print_event(document, is_json=target.is_json)
                sys.stdout.flush()


def kind_of(log_id: str) -> tuple[str, str]:
    """Return the kind of log and its key that ``KIND:KEY`` names; without a kind it is an execution's."""
    from talka_protocols.subjects import EXECUTION, PLAN, POOL, SCHEDULE, TRIGGER

    kind, colon, key = log_id.partition(":")
    return (
        (kind, key) if colon and kind in (PLAN, POOL, SCHEDULE, TRIGGER, EXECUTION) else (EXECUTION, log_id)
    )


def log_name(records: Records, kind: str, key: str) -> LogName:
    """Return where a log of that kind and key lies."""
    from talka_protocols.subjects import POOL, LogName, shard_of

    return LogName(kind, "-" if kind == POOL else shard_of(key, records.shards), key)


async def _commits(
    records: Records, name: LogName, *, is_following: bool
) -> AsyncGenerator[tuple[int, Commit[Event]]]:
    """Yield the commits that are there, and with ``is_following`` go on until the execution is over."""
    from talka_protocols.subjects import EXECUTION
    from talka_services.client.tailing import until_over

    histories = records.histories
    if not is_following:
        for item in await histories.commits(name):
            yield item
        return
    is_execution = name.kind == EXECUTION
    following = until_over(histories, name.key) if is_execution else histories.follow_commits(name)
    async with aclosing(following) as commits:
        async for item in commits:
            yield item


def _print_event(document: dict[str, Any], *, is_json: bool) -> None:
    import msgspec

    if is_json:
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    known = {"seq", "version", "at", "id", "cause", "type", "execution_id", "pool", "task_id", "workflow"}
    if "name" in document:
        known ^= {"name", "execution_id"}
    rest = {key: value for key, value in document.items() if key not in known}
    details = " ".join(f"{key}={_short(value)}" for key, value in rest.items())
    console().print(
        f"{document['version']:>6}  {local_time(document['at'])}  {document['type']:<24}"
        f" {plain(document.get('task_id', ''))}  [dim]{plain(details)}[/dim]"
    )


def _short(value: Any) -> str:
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."
