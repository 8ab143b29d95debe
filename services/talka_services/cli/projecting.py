"""``talka projection`` and ``talka service projector``: the read model and how it is kept."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.models import Database, Lag, model_of, open_model, place_of
from talka_services.cli.probing import Health, probed
from talka_services.cli.screen import console, duration, plain, print_json
from talka_services.cli.sections import Group
from talka_services.databases import shown
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.cli.models import Model

Rebuild = Annotated[bool, typer.Option("--rebuild", help="Make the model anew from the log first.")]


def register(app: typer.Typer) -> None:
    """Add the commands; ``service`` has its own group."""
    group = typer.Typer(
        cls=Group, help="The read model that list, stats and trend ask.", no_args_is_help=True
    )
    command(group, "status")(status)
    command(group, "rebuild")(rebuild)
    app.add_typer(group, name="projection")


def projector(
    target: Target, database: Database = None, rebuild: Rebuild = False, health: Health = None
) -> None:
    """Keep the read model: what has happened, as tables that can be searched and summed up.

    Several may keep the same one; each commit is taken once.
    """
    run_loop(_project(target, place_of(target, database), health, is_rebuilt=rebuild))


def status(target: Target, database: Database = None) -> None:
    """Show how far the read model is behind the log."""
    place = place_of(target, database)
    _show(target, place, run_loop(_lag(target, place)))


def rebuild(target: Target, database: Database = None) -> None:
    """Make the read model anew from the log; a projector that runs goes on with the new one."""
    place = place_of(target, database)
    _show(target, place, run_loop(_rebuild(target, place)))


async def _lag(target: Target, place: str) -> Lag:
    async with open_model(target, place) as model:
        return await model.lag()


async def _rebuild(target: Target, place: str) -> Lag:
    async with open_model(target, place, create=True) as model:
        await _reset(model)
        await model.projector.catch_up()
        return await model.lag()


async def _reset(model: Model) -> None:
    await asyncio.to_thread(model.view.reset, await model.source.identity())


async def _project(target: Target, place: str, health: str | None, *, is_rebuilt: bool) -> None:
    from talka_services.cli.probing import tell_ready
    from talka_services.cli.reach import reach_node
    from talka_services.cli.stopping import until_told

    stopped = until_told()
    async with (
        probed(health) as readiness,
        reach_node(target, create=True) as node,
        model_of(node, place) as model,
    ):
        if is_rebuilt:
            await _reset(model)
        # What is of another log, or of another version, is refused before it is said to be ready.
        await model.lag()
        work = asyncio.create_task(model.projector.run(), name="projector")
        readiness.begin(node.connection, lambda: not work.done())
        document = {"ready": "projector", "database": shown(place), "namespace": target.namespace}
        sentence = f"projector is ready, the read model is {shown(place)}"
        tell_ready(target, sentence, {**document, "health": readiness.address})
        await asyncio.wait((stopped, work), return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            sys.stderr.flush()


def _show(target: Target, place: str, lag: Lag) -> None:
    if target.is_json:
        print_json(
            {
                "database": shown(place),
                "generation": lag.generation,
                "position": lag.position,
                "end": lag.end,
                "lag_commits": lag.commits,
                "lag_seconds": lag.seconds,
            }
        )
        return
    behind = f"{lag.commits} commits, {duration(lag.seconds)} behind" if lag.commits else "up to date"
    console().print(f"{plain(shown(place))}  at {lag.position} of {lag.end}: {behind}")
