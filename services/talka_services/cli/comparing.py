"""``talka diff``: where two executions part, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import console, duration, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.comparison import Comparison
    from talka_services.client.comparing import Told

First = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
Second = Annotated[str, typer.Argument(metavar="OTHER", help="The execution to compare it with.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "diff")(diff)


def diff(target: Target, first: First, second: Second) -> None:
    """Compare two executions: the first event that differs, definitions, inputs, results and times."""
    import msgspec

    found = run_loop(_compare(target, first, second))
    if target.is_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)


async def _compare(target: Target, first: str, second: str) -> Comparison:
    from talka_services.client.comparing import compared

    return compared(await _told(target, first), await _told(target, second))


async def _told(target: Target, wanted: str) -> Told:
    from talka_services.cli.records import open_execution
    from talka_services.client.comparing import told

    async with open_execution(target, wanted) as (records, execution_id):
        return await told(records.histories, execution_id)


def _print(found: Comparison) -> None:
    screen = console()
    parting = found.parting
    if parting is None:
        screen.print("the same events, but for times, workers and allocations")
    else:
        for version, event in (
            (parting.first_version, parting.first_event),
            (parting.second_version, parting.second_event),
        ):
            screen.print(f"event {version}: {plain(event)}" if event else "ended")
    for what, tasks in (
        ("only in the first", found.removed),
        ("only in the second", found.added),
        ("other results", found.results),
        ("other definitions", [f"{t} ({', '.join(f)})" for t, f in found.changed.items()]),
        ("other inputs", [f"{t} ({', '.join(r)})" for t, r in found.inputs.items()]),
    ):
        if tasks:
            screen.print(f"{what}: {plain(', '.join(tasks))}")
    rows = (
        (
            plain(spent.task_id),
            duration(spent.first_waited_s),
            duration(spent.second_waited_s),
            duration(spent.first_ran_s),
            duration(spent.second_ran_s),
            str(spent.first_attempts),
            str(spent.second_attempts),
        )
        for spent in found.spent
    )
    columns = ("task", "waited", "other waited", "ran", "other ran", "attempts", "other attempts")
    print_table(columns, rows, right=columns[1:])
