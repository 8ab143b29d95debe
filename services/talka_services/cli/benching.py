"""The ``talka bench`` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.running import Durability
from talka_services.cli.screen import print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.bench.sessions import Row

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="WORKLOAD", help="W1 W2 W3 W4 W5 W6 speedup; default: all of them."),
]
Repetitions = Annotated[int, typer.Option("--reps", min=1, help="How often each is run.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "bench")(bench)


def bench(
    target: Target, workload: Names = None, reps: Repetitions = 5, durability: Durability = None
) -> None:
    """Measure this machine: throughput, latency, overhead and speed-up.

    A platform of its own runs in a fresh directory next to --data-dir, so on
    the same disk, and is removed. With --server a running platform is measured;
    its workers must allow the module talka_services.bench.
    """
    from talka_services.bench.report import document, print_rows
    from talka_services.bench.sessions import WORKLOADS
    from talka_services.embedded import Durability as Durabilities

    names = workload or list(WORKLOADS)
    if unknown := [name for name in names if name not in WORKLOADS]:
        raise UsageError(f"There is no workload {unknown[0]!r}.", hint=f"Choose of {', '.join(WORKLOADS)}.")
    if durability is not None and durability not in get_args(Durabilities):
        raise UsageError(f"--durability is {durability!r}.", hint="Give power or process.")
    if durability and target.server:
        raise UsageError(
            "--durability cannot be used with --server.", hint="The server's configuration decides it."
        )
    rows = run_loop(_measure(target, names, reps, durability or "power"))
    if target.is_json:
        print_json(document(rows))
    else:
        print_rows(rows)


async def _measure(target: Target, names: list[str], repetitions: int, durability: Any) -> list[Row]:
    from contextlib import aclosing

    from talka_services.bench.sessions import Session
    from talka_services.bench.stage import embedded, remote
    from talka_services.cli.logs import configure_logs
    from talka_services.cli.screen import console

    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    rows: list[Row] = []
    stage = (
        remote(target.server, target.namespace, target.access)
        if target.server
        else embedded(target.data_dir, durability)
    )
    async with stage as ready, aclosing(Session(ready, repetitions).rows(names)) as measured:
        async for row in measured:
            rows.append(row)
            if not target.is_json:
                console(is_error=True).print(f"measured {row.workload}: {row.variant}", style="dim")
    return rows
