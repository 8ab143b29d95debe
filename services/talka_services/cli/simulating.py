"""``talka simulate``: what a workflow would take, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.running import Capacity, Inputs, MaxSeconds, MaxTasks, Shared, TimeScale, Workers
from talka_services.cli.screen import coloured, duration, plain, print_json, print_table

if TYPE_CHECKING:
    from talka_core.simulation import SimulatedRun
    from talka_services.cli.embedding import Flags
    from talka_services.cli.loading import Loaded

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Talka files, WfFormat instances, published scheduling instances, or module:function.",
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", help="The order in which ready tasks are offered; repeat it to compare."),
]
MaxParallel = Annotated[
    int | None, typer.Option("--max-parallel", min=1, help="Most tasks at once, in place of the file's.")
]
AsTasks = Annotated[bool, typer.Option("--tasks", help="With --json, say of each task when it would run.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "simulate")(simulate)


def simulate(
    target: Target,
    files: Files,
    inputs: Inputs = None,
    strategy: Strategies = None,
    workers: Workers = None,
    capacity: Capacity = None,
    shared: Shared = None,
    max_parallel: MaxParallel = None,
    time_scale: TimeScale = 1.0,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
    show_tasks: AsTasks = False,
) -> None:
    """Run workflows in virtual time on modelled workers; nothing is started.

    The planner, the scheduler and the pool decide as in a real run. Each task
    takes its estimate, succeeds and returns nothing, so conditions count as met
    and maps run once. Workers are shaped as for `run`. With --json there is
    one object for each file and strategy, on a line of its own.
    """
    from talka_services.cli.embedding import Flags
    from talka_services.cli.loading import Request, load_workflow

    pooled = parse_amounts(shared or (), "--shared")
    flags = Flags(workers, parse_amounts(capacity or ()), time_scale, shared=pooled)
    rows: list[dict[str, Any]] = []
    for file in files:
        for name in strategy or (None,):
            loaded = load_workflow(Request(file, tuple(inputs or ()), max_tasks, max_seconds, name))
            loaded = _bounded(loaded, max_parallel).scaled(time_scale)
            row = _row(file, loaded, _simulated(loaded, flags), with_tasks=show_tasks)
            if target.is_json:
                print_json(row)
            rows.append(row)
    if not target.is_json:
        _print(rows)


def _bounded(loaded: Loaded, max_parallel: int | None) -> Loaded:
    from dataclasses import replace

    from msgspec.structs import replace as with_fields

    if max_parallel is None:
        return loaded
    config = with_fields(loaded.workflow.config, max_parallel=max_parallel)
    return replace(loaded, workflow=with_fields(loaded.workflow, config=config))


def _simulated(loaded: Loaded, flags: Flags) -> SimulatedRun:
    from talka_core.simulation import Offer
    from talka_core.simulation import simulate as run_virtually
    from talka_services.cli.embedding import shapes
    from talka_services.service.worker import machine_capacity

    offers = [Offer(shape) for shape in shapes(flags, loaded.machines, machine_capacity())]
    return run_virtually(loaded.workflow, offers, flags.shared)


def _row(file: str, loaded: Loaded, found: SimulatedRun, *, with_tasks: bool) -> dict[str, Any]:
    from msgspec import to_builtins

    row = {
        "file": file,
        "name": loaded.workflow.name,
        "strategy": str(loaded.workflow.config.strategy),
        **to_builtins(found),
    }
    tasks = row.pop("tasks")
    return {**row, "tasks": tasks} if with_tasks else row


def _print(rows: list[dict[str, Any]]) -> None:
    columns = ("workflow", "strategy", "status", "makespan", "lower bound", "over it", "busiest resource")
    cells = [
        (
            plain(row["name"]),
            row["strategy"],
            coloured(row["status"]) + (", over its time limit" if row["is_over_time"] else ""),
            duration(row["makespan_s"]),
            duration(row["lower_bound_s"]),
            "-" if row["gap"] is None else f"{100 * row['gap']:.1f} %",
            _busiest(row["utilisation"]),
        )
        for row in rows
    ]
    print_table(columns, cells, right=("makespan", "lower bound", "over it"))


def _busiest(utilisation: dict[str, float]) -> str:
    if not utilisation:
        return "-"
    name = max(utilisation, key=lambda each: utilisation[each])
    return f"{plain(name)} {100 * utilisation[name]:.0f} %"
