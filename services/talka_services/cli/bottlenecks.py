"""``talka bottlenecks``: where the time of an execution went, and what would have saved some of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import coloured, console, duration, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.bottlenecks import Bottlenecks, Spent

ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
PathOnly = Annotated[
    bool, typer.Option("--path-only", help="Simulate nothing; only say where the time went.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "bottlenecks")(bottlenecks)


def bottlenecks(target: Target, execution_id: ExecutionId, path_only: PathOnly = False) -> None:
    """Say where the time of an execution went, and what would have saved some of it.

    The critical path is the one that was really taken: back from the end, through
    what each task had to wait for last. Its segments add up to the makespan.
    Then the execution is simulated with its measured run times and one thing changed.
    """
    import msgspec

    found = run_loop(_found(target, execution_id, is_simulated=not path_only))
    if target.is_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)


async def _found(target: Target, wanted: str, *, is_simulated: bool) -> Bottlenecks:
    from talka_services.cli.records import open_execution
    from talka_services.client.bottlenecks import where_time_went

    async with open_execution(target, wanted) as (records, execution_id):
        now_ms = time.time_ns() // 1_000_000
        return await where_time_went(records.histories, execution_id, now_ms, is_simulated=is_simulated)


def _print(found: Bottlenecks) -> None:
    screen = console()
    screen.print(f"{plain(found.execution_id)}  {coloured(found.status)}  took {_shown(found.makespan_ms)}")
    kinds = list(found.totals_ms)
    rows = [
        (plain(task_id or "-"), *(_cell(spent, kind) for kind in kinds)) for task_id, spent in _rows(found)
    ]
    rows.append(("in all", *(_cell(found.totals_ms, kind) for kind in kinds)))
    print_table(("critical path", *map(str, kinds)), rows, right=[str(kind) for kind in kinds])
    if found.note:
        screen.print(plain(found.note))
    if found.simulated_ms is None:
        return
    screen.print(f"simulated as it was: {_shown(found.simulated_ms)}; with one change:")
    changes = (
        (plain(each.change), _shown(each.makespan_ms), f"{each.saves_ms / 1000:.1f} s")
        for each in found.alternatives
    )
    print_table(("change", "makespan", "saves"), changes, right=("makespan", "saves"))


def _rows(found: Bottlenecks) -> list[tuple[str, dict[Spent, int]]]:
    """Return what each task in the order of the path spent its time on."""
    rows: list[tuple[str, dict[Spent, int]]] = []
    for segment in found.segments:
        if not rows or rows[-1][0] != segment.task_id:
            rows.append((segment.task_id, {}))
        spent = rows[-1][1]
        spent[segment.spent_on] = spent.get(segment.spent_on, 0) + segment.took_ms
    return rows


def _cell(spent: dict[Spent, int], kind: Spent) -> str:
    return _shown(spent[kind]) if kind in spent else ""


def _shown(milliseconds: int) -> str:
    return duration(milliseconds / 1000)
