"""``talka events`` and ``talka replay``: what happened, event by event, and the state at any of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import ExitCode, UsageError
from talka_services.cli.queries import ExecutionId
from talka_services.cli.screen import coloured, console, local_time, plain, print_json, print_table

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_protocols.commit import Commit
    from talka_protocols.events import Event
    from talka_protocols.subjects import LogName
    from talka_services.cli.records import Records
    from talka_services.cli.verification import Verdict

LogId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="An execution id, plan:ID, pool:NAME, or an exported FILE (or FILE#ID)."
    ),
]
From = Annotated[int, typer.Option("--from", min=1, metavar="N", help="Begin at event N.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution is over.")]
Type = Annotated[list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")]
OfTask = Annotated[list[str] | None, typer.Option("--task", help="Only events of this task; repeatable.")]
At = Annotated[int | None, typer.Option("--at", min=1, metavar="N", help="The state after event N.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Check the whole history; exit code 1 if it is broken.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "events")(events)
    command(app, "replay")(replay)


# --- events --------------------------------------------------------------------------------------


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
    asyncio.run(_events(target, log_id, first, frozenset(types or ()), frozenset(tasks or ()), follow=follow))


def _check_types(types: list[str] | tuple[()]) -> None:
    from typing import get_args

    from talka_core.spelling import did_you_mean
    from talka_protocols import events as facts

    unions = (facts.ExecutionEvent, facts.PlanEvent, facts.PoolEvent)
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
    from talka_protocols.subjects import POOL
    from talka_services.cli.records import open_execution

    kind, wanted = _kind_of(log_id)
    async with open_execution(target, wanted) as (records, execution_id):
        key = records.pool if kind == POOL and not records.is_live else execution_id
        name = _log_name(records, kind, key)
        if not await records.log.read(name):
            raise (
                UsageError(f"There is no pool {key!r} here.") if kind == POOL else UnknownExecutionError(key)
            )
        is_following = follow and records.is_live
        async with aclosing(_commits(records, name, is_following=is_following)) as commits:
            async for position, commit in commits:
                for version, _cause, event in commit.events():
                    document = event_document(name, position, version, commit.at, event)
                    if version < first or (types and document["type"] not in types):
                        continue
                    if not tasks or document.get("task_id") in tasks:
                        _print_event(document, is_json=target.is_json)
                sys.stdout.flush()


def _kind_of(log_id: str) -> tuple[str, str]:
    from talka_protocols.subjects import EXECUTION, PLAN, POOL

    kind, colon, key = log_id.partition(":")
    return (kind, key) if colon and kind in (PLAN, POOL, EXECUTION) else (EXECUTION, log_id)


def _log_name(records: Records, kind: str, key: str) -> LogName:
    from talka_protocols.subjects import POOL, LogName, shard_of

    return LogName(kind, "-" if kind == POOL else shard_of(key, records.shards), key)


async def _commits(
    records: Records, name: LogName, *, is_following: bool
) -> AsyncGenerator[tuple[int, Commit[Event]]]:
    """Yield the commits that are there, and with ``is_following`` go on until the execution is over."""
    from talka_core.history import FOLDS, apply
    from talka_protocols.states import FINAL_EXECUTION_STATES

    histories = records.histories
    if not is_following:
        for item in await histories.commits(name):
            yield item
        return
    fold = FOLDS[name.kind]
    state = fold.initial(name.key)
    async with aclosing(histories.follow_commits(name)) as commits:
        async for position, commit in commits:
            yield position, commit
            apply(fold, state, [commit])
            if getattr(state, "status", None) in FINAL_EXECUTION_STATES:
                return


def event_document(name: LogName, position: int, version: int, at: int, event: Event) -> dict[str, Any]:
    """Return an event as ``events --json`` prints it; ``at`` is in Unix seconds, its own instants in ms."""
    import msgspec

    from talka_protocols.subjects import POOL

    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    document: dict[str, Any] = {
        "seq": position,
        "version": version,
        "at": at / 1000,
        "type": fields.pop("type"),
        "pool" if name.kind == POOL else "execution_id": name.key,
    }
    return document | fields


def _print_event(document: dict[str, Any], *, is_json: bool) -> None:
    import msgspec

    if is_json:
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    known = ("seq", "version", "at", "type", "execution_id", "pool", "task_id", "workflow")
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


# --- replay --------------------------------------------------------------------------------------


def replay(target: Target, execution_id: ExecutionId, at: At = None, verify: Verify = False) -> None:
    """Fold an execution's log to any event and show the state there."""
    state, verdict = asyncio.run(_replay(target, execution_id, at, is_verifying=verify))
    if target.is_json:
        print_json(_replay_document(state, verdict))
    else:
        _print_replay(state, verdict)
    if verdict is not None and verdict.violations:
        raise typer.Exit(ExitCode.NOT_SUCCEEDED)


async def _replay(
    target: Target, wanted: str, at: int | None, *, is_verifying: bool
) -> tuple[ExecutionRecord | None, Verdict | None]:
    from talka_protocols.errors import BrokenHistoryError
    from talka_services.cli.records import open_execution
    from talka_services.cli.verification import verify_execution

    async with open_execution(target, wanted) as (records, execution_id):
        verdict = await verify_execution(records, execution_id) if is_verifying else None
        try:
            state = await records.histories.execution(execution_id, at)
        except BrokenHistoryError:
            if verdict is None:
                raise
            # The verdict tells what is broken, which is what was asked for.
            return None, verdict
        if at is not None and at > state.version:
            raise UsageError(
                f"There is no event {at}: the log of {execution_id!r} ends at {state.version}.",
                hint="Give a smaller --at.",
            )
        return state, verdict


def _replay_document(state: ExecutionRecord | None, verdict: Verdict | None) -> dict[str, Any]:
    from talka_core.status import result_of, status_of
    from talka_services.cli.queries import status_document
    from talka_services.cli.report import task_document

    document: dict[str, Any] = {}
    if state is not None:
        result = result_of(state)
        document = status_document(status_of(state)) | {
            "tasks": {task_id: task_document(task) for task_id, task in result.tasks.items()},
            "allocations": allocations(state),
        }
    if verdict is not None:
        document |= {
            "verified": not verdict.violations,
            "violations": list(verdict.violations),
            "checks": verdict.checks,
        }
    return document


def allocations(state: ExecutionRecord) -> list[dict[str, Any]]:
    """Return what the execution holds of the pool, and what it is giving back."""
    from talka_protocols.states import TaskStatus

    holding = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)
    held = [
        {
            "allocation_id": task.allocation_id,
            "task_id": task_id,
            "worker": task.worker_id,
            "fence": task.fence,
            "is_returning": False,
        }
        for task_id, task in state.tasks.items()
        if task.status in holding and task.allocation_id
    ]
    returning = [
        {
            "allocation_id": allocation_id,
            "task_id": item.holder.task_id,
            "worker": None,
            "fence": item.fence,
            "is_returning": True,
        }
        for allocation_id, item in state.returning.items()
    ]
    return held + returning


def _print_replay(state: ExecutionRecord | None, verdict: Verdict | None) -> None:
    from talka_core.status import status_of

    if state is not None:
        status = status_of(state)
        console().print(
            f"{plain(status.name)}  {coloured(status.status.value)}  at event {status.version}"
            f"  {status.done}/{status.total} tasks"
        )
        rows = (
            (
                plain(task_id),
                coloured(task.status.value),
                str(task.attempt),
                plain(task.worker_id or "-"),
                plain(task.allocation_id or "-"),
            )
            for task_id, task in state.tasks.items()
        )
        print_table(("task", "status", "attempt", "worker", "allocation"), rows, right=("attempt",))
        held = allocations(state)
        giving = sum(item["is_returning"] for item in held)
        console().print(f"  allocations: {len(held) - giving} held, {giving} on their way back")
    if verdict is not None:
        for sentence in verdict.violations:
            console().print(f"[red]violation[/red] {plain(sentence)}")
        if not verdict.violations:
            console().print(f"[green]verified[/green] {plain(verdict.checks)}")
