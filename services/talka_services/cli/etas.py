"""``talka eta``: when an execution that runs will be over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import console, duration, local_time, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.client.forecasting import Eta

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of an execution that is not over.")]
Seed = Annotated[int, typer.Option("--seed", help="Another number draws other run times.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "eta")(eta)


def eta(target: Target, execution_id: Id, seed: Seed = 0) -> None:
    """Tell when an execution will be over, in half and in nine of ten cases.

    What is left is simulated many times, with run times drawn from those of
    tasks of the same kinds on record; what runs takes longer than it has
    already. The execution is taken to have its pool for itself, and to go on now if it is paused.
    """
    import msgspec

    found = run_loop(_read(target, execution_id, seed))
    if target.is_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)


async def _read(target: Target, execution_id: str, seed: int) -> Eta:
    from talka_services.cli.records import open_records
    from talka_services.client.forecasting import eta as estimated

    async with open_records(target) as records:
        return await estimated(records.histories, execution_id, round(1000 * time.time()), seed)


def _print(found: Eta) -> None:
    remaining, eta_at = found.remaining_s, found.eta
    screen = console()
    screen.print(
        f"{plain(found.name)}  {found.status}  {found.done}/{found.total} tasks"
        f"  for {duration(found.elapsed_s)}"
    )
    screen.print(f"  half the time over in {duration(remaining.p50)}  ({local_time(eta_at.p50)})")
    screen.print(f"  in nine of ten cases in {duration(remaining.p90)}  ({local_time(eta_at.p90)})")
    screen.print(
        f"  {found.left} tasks left, {found.predicted} like tasks on record;"
        f" {found.runs} earlier runs of this workflow"
    )
