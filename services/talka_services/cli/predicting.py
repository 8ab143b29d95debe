"""``talka predict``: how long tasks will take and what memory they will need, from those that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.running import Capacity, Inputs, MaxSeconds, MaxTasks, Shared, Workers
from talka_services.cli.screen import console, duration, plain, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from talka_core.forecast import Model, Prediction, Run
    from talka_services.cli.past import Subject

SHARE = 0.9
QUANTILES = {"p5": 0.05, "p50": 0.5, "p90": 0.9, "p95": 0.95}

What = Annotated[
    list[str],
    typer.Argument(metavar="FILE|ID...", help="Workflows to come, or runs on record, to compare with."),
]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="ID|FILE",
        help="Predict from this execution, exported file or trace; repeatable. Default: all on record here.",
    ),
]
AsTasks = Annotated[bool, typer.Option("--tasks", help="With --json, say it of each task.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "predict")(predict)


def predict(
    target: Target,
    what: What,
    earlier: From = None,
    inputs: Inputs = None,
    workers: Workers = None,
    capacity: Capacity = None,
    shared: Shared = None,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
    show_tasks: AsTasks = False,
) -> None:
    """Predict run times, memory and makespans from tasks of the same kinds that ran.

    Of what has run already, a trace or an execution on record, nothing is used
    but what was known before; then it is told how much of it lies within the
    predicted 90 % intervals. With --json there is one object for each, on a line
    of its own, and one with the totals if there are several.
    """
    from talka_services.cli.embedding import Flags
    from talka_services.cli.loading import Request
    from talka_services.cli.past import history, subject

    flags = Flags(workers, parse_amounts(capacity or ()), shared=parse_amounts(shared or (), "--shared"))
    past = history(target, earlier or ())
    rows: list[dict[str, Any]] = []
    for word in what:
        request = Request(word, tuple(inputs or ()), max_tasks, max_seconds)
        row = _row(subject(target, request, flags), past, with_tasks=show_tasks or not target.is_json)
        rows.append(row)
        if target.is_json:
            print_json(row)
        else:
            _print(row)
    if len(rows) > 1 and target.is_json:
        print_json({"total": _total(rows)})
    elif len(rows) > 1:
        _print_coverage(" in all", _total(rows))


def _row(asked: Subject, past: Sequence[Run], *, with_tasks: bool) -> dict[str, Any]:
    from talka_core.forecast import covered, durations, memory, predicted
    from talka_services.client.forecasting import makespan_of

    known = [run for run in past if run.id != asked.asked.id]
    predictions = predicted(asked.asked, durations(known))
    memories = _memories(asked.asked, memory(known))
    whole = makespan_of(asked.asked, predictions, known)
    went = asked.went
    makespan: dict[str, Any] = {name: whole.quantile(share) for name, share in QUANTILES.items()}
    if went.makespan_s is not None:
        is_inside = makespan["p5"] <= went.makespan_s <= makespan["p95"]
        makespan |= {"measured": went.makespan_s, "is_covered": is_inside}
    row: dict[str, Any] = {
        "file": asked.word,
        "name": asked.asked.workflow.name,
        "runs": len(known),
        "tasks": len(asked.asked.workflow.tasks),
        "predicted": sum(found.samples > 0 for found in predictions.values()),
        "makespan_s": makespan,
        "coverage": _share(*covered(predictions, went.seconds, SHARE)),
        "memory_coverage": _share(*covered(memories, went.memory_mb, SHARE)),
    }
    if with_tasks:
        row["by_task"] = {
            task_id: {
                **_quantiles(found),
                "measured": went.seconds.get(task_id),
                "memory_mb": _quantiles(memories[task_id]) if task_id in memories else None,
            }
            for task_id, found in predictions.items()
        }
    return row


def _memories(asked: Run, model: Model) -> dict[str, Prediction]:
    from talka_core.forecast.observations import kind_of
    from talka_core.forecast.runs import inputs_of

    found = {
        task.id: model.predict(kind_of(asked.workflow.name, task), inputs_of(asked, task))
        for task in asked.workflow.tasks
    }
    return {task_id: prediction for task_id, prediction in found.items() if prediction is not None}


def _quantiles(found: Prediction) -> dict[str, Any]:
    quantiles: dict[str, Any] = {name: found.quantile(share) for name, share in QUANTILES.items()}
    return quantiles | {"kind": found.kind, "samples": found.samples}


def _share(inside: int, count: int) -> dict[str, Any] | None:
    return {"tasks": count, "covered": inside, "share": inside / count} if count else None


def _total(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how much of all that had run lay within the intervals."""
    makespans = [row["makespan_s"]["is_covered"] for row in rows if "is_covered" in row["makespan_s"]]
    total: dict[str, Any] = {
        "makespans": len(makespans),
        "makespans_covered": sum(makespans),
    }
    for name in ("coverage", "memory_coverage"):
        found = [row[name] for row in rows if row[name] is not None]
        total[name] = _share(sum(each["covered"] for each in found), sum(each["tasks"] for each in found))
    return total


def _print(row: dict[str, Any]) -> None:
    makespan = row["makespan_s"]
    screen = console()
    screen.print(
        f"{plain(row['name'])}  {row['tasks']} tasks, {row['predicted']} like what ran in {row['runs']} runs"
    )
    screen.print(
        f"  makespan {duration(makespan['p50'])}, in nine of ten cases"
        f" {duration(makespan['p5'])} to {duration(makespan['p95'])}"
        + (f"; it was {duration(makespan['measured'])}" if "measured" in makespan else "")
    )
    kinds: dict[str, list[dict[str, Any]]] = {}
    for found in row["by_task"].values():
        kinds.setdefault(found["kind"], []).append(found)
    cells = [_cells(kind, found) for kind, found in kinds.items()]
    columns = ("kind", "tasks", "seen", "median", "90 % from", "to", "memory to")
    print_table(columns, cells, right=columns[1:])
    _print_coverage("", row)


def _cells(kind: str, found: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    needed = [each["memory_mb"]["p95"] for each in found if each["memory_mb"]]
    return (
        plain(kind),
        str(len(found)),
        str(found[0]["samples"]) if found[0]["samples"] else "estimate",
        duration(sorted(each["p50"] for each in found)[len(found) // 2]),
        duration(min(each["p5"] for each in found)),
        duration(max(each["p95"] for each in found)),
        f"{max(needed):.0f} MiB" if needed else "-",
    )


def _print_coverage(name: str, row: dict[str, Any]) -> None:
    for what, found in (("run times", row["coverage"]), ("memory", row["memory_coverage"])):
        if found:
            counts = f"{found['covered']} of {found['tasks']} {what} ({100 * found['share']:.0f} %)"
            console().print(f"  within the 90 % intervals{name}: {counts}")
