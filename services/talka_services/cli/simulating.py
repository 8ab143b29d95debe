"""``talka simulate``: what a workflow would take, or a recorded execution would have taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import ExitCode
from talka_services.cli.pairs import parse_amounts, parse_labels
from talka_services.cli.running import (
    Capacity,
    Inputs,
    Labels,
    MaxSeconds,
    MaxTasks,
    Shared,
    TimeScale,
    Workers,
)
from talka_services.cli.screen import coloured, duration, plain, print_json, print_table

if TYPE_CHECKING:
    from talka_services.cli.cases import Case, Changes
    from talka_services.cli.loading import Request

What = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|ID...",
        help="Talka files, traces, scheduling instances or module:function; or executions on record"
        " (an id, or an exported FILE).",
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", help="The order in which ready tasks are offered; repeat it to compare."),
]
Pool = Annotated[
    str,
    typer.Option("--pool", metavar="POOL", help="The workers, amounts and quotas that a live pool has now."),
]
MaxParallel = Annotated[
    int | None, typer.Option("--max-parallel", min=1, help="Most tasks at once, in place of the file's.")
]
Faster = Annotated[
    list[str] | None,
    typer.Option("--faster", metavar="TASK=X", help="Multiplies one task's run time: 0.5 halves it."),
]
Prices = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="K=V", help="For a unit and an hour, e.g. cpu_cores=0.04 or worker=1.2."),
]
Quota = Annotated[
    list[str] | None,
    typer.Option("--quota", metavar="K=V", help="The most that its tenant may have at once; repeatable."),
]
Improve = Annotated[
    float,
    typer.Option(
        "--improve",
        metavar="SECONDS",
        min=0.0,
        help="CPU time to search a better schedule for resource_optimized, which then is followed.",
    ),
]
Chaos = Annotated[
    bool, typer.Option("--chaos", help="Let everything go wrong, and check what is promised, seed by seed.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="With --chaos, the seed, or the first one.")]
SeedCount = Annotated[
    int | None, typer.Option("--seeds", min=1, help="With --chaos, how many seeds. Default 50, or 1.")
]
AsTasks = Annotated[bool, typer.Option("--tasks", help="With --json, say of each task when it would run.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "simulate")(simulate)


def simulate(
    target: Target,
    what: What,
    inputs: Inputs = None,
    strategy: Strategies = None,
    pool: Pool = "",
    workers: Workers = None,
    capacity: Capacity = None,
    shared: Shared = None,
    quota: Quota = None,
    label: Labels = None,
    max_parallel: MaxParallel = None,
    time_scale: TimeScale = 1.0,
    faster: Faster = None,
    price: Prices = None,
    improve: Improve = 0.0,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
    show_tasks: AsTasks = False,
    chaos: Chaos = False,
    seed: Seed = None,
    seeds: SeedCount = None,
) -> None:
    """Run workflows in virtual time on modelled workers; nothing is started.

    The planner, the scheduler and the pool decide as in a real run. Each task
    takes its estimate, succeeds and returns nothing, so conditions count as met
    and maps run once. Workers are shaped as for `run`. With --json there is
    one object for each file and strategy, on a line of its own. What tasks
    require of labels counts where a worker has any.

    Of an execution on record each task takes what it took, on the workers that
    its pool had then, unless flags say otherwise; --time-scale applies to all
    its tasks. First comes how it really went.

    With --chaos a whole cluster is simulated that loses, repeats and reorders
    messages and whose processes die, are cut off or come back too late, as each
    seed says. Whatever is violated is shown with the few faults that it takes.
    """
    from talka_services.cli.cases import Changes
    from talka_services.cli.embedding import Flags
    from talka_services.cli.loading import Request
    from talka_services.cli.trying import Seeds, check_used, try_workflows

    offered, pooled = parse_amounts(capacity or ()), parse_amounts(shared or (), "--shared")
    flags = Flags(workers, offered, time_scale, shared=pooled, labels=parse_labels(label or ()))
    hastened = parse_amounts(faster or (), "--faster")
    prices, bounds = parse_amounts(price or (), "--price"), parse_amounts(quota or (), "--quota")
    changes = Changes(flags, pool, max_parallel, hastened, improve, prices, bounds)
    request = Request("", tuple(inputs or ()), max_tasks, max_seconds)
    drawn = Seeds(seed, seeds)
    check_used(drawn, changes, strategy or (), is_chaos=chaos, with_tasks=show_tasks)
    if chaos:
        asked = replace(request, strategy=next(iter(strategy or ()), None))
        if not try_workflows(target, what, asked, flags, drawn):
            raise typer.Exit(ExitCode.NOT_SUCCEEDED)
        return
    rows = _rows(target, what, request, strategy or (None,), changes, with_tasks=show_tasks)
    if not target.is_json:
        _print(rows)


def _rows(
    target: Target,
    what: Sequence[str],
    asked: Request,
    strategies: Sequence[str | None],
    changes: Changes,
    *,
    with_tasks: bool,
) -> list[dict[str, Any]]:
    """Return one row for each run, and print each as soon as it is known if JSON is wanted."""
    from talka_services.cli.cases import cases
    from talka_services.formats.instances import instances_in

    rows: list[dict[str, Any]] = []
    for word in (each for named in what for each in instances_in(named)):
        went_s: float | None = None
        for case in cases(target, replace(asked, file=word), strategies, changes):
            row = _row(case, went_s, with_tasks=with_tasks)
            went_s = case.run.makespan_s if case.is_recorded else went_s
            if target.is_json:
                print_json(row)
            rows.append(row)
    return rows


def _row(case: Case, went_s: float | None, *, with_tasks: bool) -> dict[str, Any]:
    """Return a run as it is printed; ``over_recorded`` is the share by which it is longer than it was."""
    from msgspec import to_builtins

    from talka_core.strategies import strategy_of

    row = {
        "file": case.word,
        "name": case.workflow.name,
        "strategy": case.workflow.config.custom_strategy or str(strategy_of(case.workflow.config)),
        "is_recorded": case.is_recorded,
        "over_recorded": round(case.run.makespan_s / went_s - 1, 9) if went_s else None,
        "cost": case.cost,
        **to_builtins(case.run),
    }
    tasks = row.pop("tasks")
    return {**row, "tasks": tasks} if with_tasks else row


def _print(rows: list[dict[str, Any]]) -> None:
    has_recorded = any(row["is_recorded"] for row in rows)
    columns = ("workflow", "strategy", "status", "makespan", "lower bound", "over it", "busiest resource")
    is_due = any(row["deadline_misses"] is not None for row in rows)
    is_priced = any(row["cost"] is not None for row in rows)
    cells = [
        (
            plain(row["name"]) + (" as it went" if row["is_recorded"] else ""),
            row["strategy"],
            coloured(row["status"]) + (", over its time limit" if row["is_over_time"] else ""),
            duration(row["makespan_s"]),
            duration(row["lower_bound_s"]),
            _percent(row["gap"]),
            _busiest(row["utilisation"]),
            *((_percent(row["over_recorded"]),) if has_recorded else ()),
            *((_late(row),) if is_due else ()),
            *((f"{row['cost']:.2f}",) if is_priced else ()),
        )
        for row in rows
    ]
    compared = ("against the record",) if has_recorded else ()
    late = ("late",) if is_due else ()
    cost = ("cost",) if is_priced else ()
    right = ("makespan", "lower bound", "over it", *compared, *cost)
    print_table((*columns, *compared, *late, *cost), cells, right=right)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _late(row: dict[str, Any]) -> str:
    """Say how many deadlines are missed, and by how much: the weighted sum."""
    misses = row["deadline_misses"]
    if not misses:
        return "-" if misses is None else "nothing"
    return f"{misses}, weighted {row['weighted_tardiness_s']:,.1f} s"


def _busiest(utilisation: dict[str, float]) -> str:
    if not utilisation:
        return "-"
    name = max(utilisation, key=lambda each: utilisation[each])
    return f"{plain(name)} {100 * utilisation[name]:.0f} %"
