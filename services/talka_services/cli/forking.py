"""``talka fork``: a new execution from any event of another one."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.embedding import Flags
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.records import named_in, open_archive
from talka_services.cli.screen import print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.results import WorkflowResult

ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
At = Annotated[int, typer.Option("--at", metavar="N", help="The event to begin at.")]
Key = Annotated[str | None, typer.Option("--key", help="The same key never starts a second execution.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Embedded workers.")]
Capacity = Annotated[
    list[str] | None,
    typer.Option("--capacity", metavar="K=V", help="What each embedded worker offers, e.g. cpu_cores=16."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the new id and leave it running.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "fork")(fork)


def fork(
    target: Target,
    execution_id: ExecutionId,
    at: At,
    key: Key = None,
    workers: Workers = None,
    capacity: Capacity = None,
    detach: Detach = False,
) -> None:
    """Start a new execution that begins with what had ended at an event of another one.

    That keeps its recorded results and is not run again; the rest runs anew.
    """
    from talka_services.cli.report import exit_code, print_summary, result_document

    flags = Flags(workers, parse_amounts(capacity or ()))
    forked, result = run_loop(_fork(target, execution_id, at, key, flags, is_detached=detach))
    if result is None:
        if target.is_json:
            print_json({"execution_id": forked, "status": "accepted"})
        else:
            sys.stdout.write(f"{forked}\n")
        return
    if target.is_json:
        print_json(result_document(result))
    else:
        print_summary(result, target)
    raise typer.Exit(exit_code(result.status))


async def _fork(
    target: Target, wanted: str, at: int, key: str | None, flags: Flags, *, is_detached: bool
) -> tuple[str, WorkflowResult | None]:
    from talka_services.cli.following import follow_to_end, interrupts
    from talka_services.cli.hosting import platform_for

    archive = open_archive(wanted)
    with archive or nullcontext(), interrupts() as taken:
        origin = named_in(archive, wanted) if archive else wanted
        is_new = archive is not None
        async with platform_for(target, flags, is_detached=is_detached, create=is_new) as orchestrator:
            forked = await orchestrator.fork(origin, at, key=key, archive=archive)
            if is_detached:
                return forked, None
            return forked, await follow_to_end(orchestrator, forked, taken, is_quiet=target.is_json)
