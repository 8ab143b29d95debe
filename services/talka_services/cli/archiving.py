"""``talka archive`` and ``talka service archiver``: executions that are over go to files."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.moments import parse_seconds
from talka_services.cli.outcome import ExitCode, UsageError
from talka_services.cli.probing import Health, probed
from talka_services.cli.screen import console, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.archives import Outcome, Retention
    from talka_services.service import Node

SHOWN = 20

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Executions that are over.")]
OlderThan = Annotated[
    str | None,
    typer.Option("--older-than", metavar="TIME", help="All that have been over for so long, such as 30d."),
]
AllEnded = Annotated[bool, typer.Option("--all-ended", help="All that are over.")]
To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="PLACE",
        envvar="TALKA_ARCHIVE",
        help="A directory, or a URL such as s3://bucket/prefix (needs the extra 'archive').",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only tell what would go, and why the rest would not.")
]
Retain = Annotated[
    str | None,
    typer.Option(
        "--retain",
        metavar="TIME",
        help="Archive by itself what has been over for so long, such as 30d; needs --archive-to.",
    ),
]
ArchiveTo = Annotated[
    str | None,
    typer.Option(
        "--archive-to", metavar="PLACE", help="Where to: a directory, or a URL such as s3://bucket."
    ),
]
RetainFor = Annotated[
    str, typer.Option("--retain", metavar="TIME", help="Archive what has been over for so long.")
]
Every = Annotated[str, typer.Option("--every", metavar="TIME", help="How often to look.")]


def register(app: typer.Typer) -> None:
    """Add the command; ``service`` has its own group."""
    command(app, "archive")(archive)


def archive(
    target: Target,
    executions: Ids = None,
    older_than: OlderThan = None,
    all_ended: AllEnded = False,
    to: To = "talka-archive",
    dry_run: DryRun = False,
) -> None:
    """Move executions that are over, with their sub-workflows, from the server to a file each.

    The file is what `talka export` writes. It is read back and compared before anything is
    removed; then one event is left, which says how the execution ended and where it lies, so
    `talka status`, `events` and `replay` go on working wherever the file can be read. Where no
    platform runs on the data directory, its scheduler runs here for as long as it takes.
    """
    if sum((bool(executions), older_than is not None, all_ended)) != 1:
        raise UsageError(
            "Say which executions to archive.", hint="Give their ids, or --older-than 30d, or --all-ended."
        )
    age_s = parse_seconds(older_than, "--older-than") if older_than is not None else 0.0
    before = round(1000 * (time.time() - age_s))
    outcome = run_loop(_archive(target, executions, before, to, is_dry=dry_run))
    if target.is_json:
        print_json(_document(outcome, is_dry=dry_run))
    else:
        _print(outcome, is_dry=dry_run)
    if outcome.failed or (executions and outcome.kept):
        raise typer.Exit(ExitCode.NOT_SUCCEEDED)


async def _archive(
    target: Target, wanted: list[str] | None, before: int, to: str, *, is_dry: bool
) -> Outcome:
    from talka_services.archives import Archivist, depot_of
    from talka_services.cli.hosting import recorder_for
    from talka_services.cli.reach import reach_node

    depot = depot_of(to)
    async with reach_node(target) if is_dry else recorder_for(target) as node:
        return await Archivist(node.connection, node.ports, depot).run(before, wanted, is_dry=is_dry)


def archiver(
    target: Target, to: To, retain: RetainFor = "30d", every: Every = "1h", health: Health = None
) -> None:
    """Archive what has been over for long enough, until SIGTERM.

    Of several, one is at work.
    """
    run_loop(_serve(target, retention_of(retain, to, every), health))


async def _serve(target: Target, retention: Retention | None, health: str | None) -> None:
    from talka_services.cli.probing import tell_ready
    from talka_services.cli.reach import reach_node
    from talka_services.cli.stopping import until_told

    stopped = until_told()
    async with (
        probed(health) as readiness,
        reach_node(target, create=True) as node,
        retaining(node, retention),
    ):
        readiness.begin(node.connection)
        document = {"ready": "archiver", "namespace": target.namespace, "pid": os.getpid()}
        tell_ready(target, "archiver is ready", {**document, "health": readiness.address})
        await stopped


def retention_of(retain: str | None, to: str | None, every: str = "1h") -> Retention | None:
    """Return what a process archives by itself, None if nothing was asked for.

    Raises:
        UsageError: only a part of it was said.
    """
    if retain is None and to is None:
        return None
    if retain is None or to is None:
        raise UsageError("--retain and --archive-to go together.", hint="Say how long, and where to.")
    from talka_services.archives import Retention, depot_of

    # A place that cannot be used is told at once.
    depot_of(to)
    return Retention(to, parse_seconds(retain, "--retain"), parse_seconds(every, "--every"))


@asynccontextmanager
async def retaining(node: Node, retention: Retention | None) -> AsyncGenerator[None]:
    """Archive by itself for as long as this is open, if that was asked for."""
    if retention is None:
        yield
        return
    from talka_services.archives import retain

    task = asyncio.create_task(retain(node.connection, node.ports, retention, node.holder), name="retention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _document(outcome: Outcome, *, is_dry: bool) -> dict[str, Any]:
    from msgspec import to_builtins

    return {
        "dry_run": is_dry,
        "planned": [to_builtins(family) for family in outcome.planned],
        "archived": [to_builtins(each) for each in outcome.archived],
        "finished": outcome.finished,
        "kept": outcome.kept,
        "failed": outcome.failed,
        "pruned": [to_builtins(each) for each in outcome.pruned],
    }


def _print(outcome: Outcome, *, is_dry: bool) -> None:
    screen = console()
    for family in outcome.planned if is_dry else ():
        screen.print(f"{family.root}  would go, {len(family.members)} in all")
    for each in outcome.archived:
        screen.print(
            f"{each.execution_id}  {plain(each.place)}  {each.events:,} events, {each.bytes:,} bytes"
        )
    for name in outcome.finished:
        screen.print(f"{name}  what an earlier run had left is removed")
    for name, reason in [*outcome.kept.items()][:SHOWN]:
        screen.print(f"{plain(name)}  stays: it {plain(reason)}", style="dim")
    if len(outcome.kept) > SHOWN:
        screen.print(f"and {len(outcome.kept) - SHOWN:,} more stay", style="dim")
    for name, reason in outcome.failed.items():
        console(is_error=True).print(f"[red]{plain(name)}[/red]  {plain(reason)}")
    for pruned in outcome.pruned:
        held = f"; {pruned.held_by} holds up the rest" if pruned.held_by else ""
        if pruned.events or held:
            screen.print(f"{plain(pruned.log)}  {pruned.events:,} events pruned{plain(held)}", style="dim")
