"""``talka backup`` and ``talka restore``: a whole namespace in a directory, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.reach import reach_server
from talka_services.cli.screen import console, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.backups import Backup
    from talka_services.backups.streams import SavedStream

New = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new or empty directory.")]
Written = Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A directory made by `talka backup`.")]
Replicas = Annotated[
    int, typer.Option("--replicas", min=1, max=5, help="On how many nodes of a cluster everything is kept.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "backup")(backup)
    command(app, "restore")(restore)


def backup(target: Target, directory: New) -> None:
    """Write all that a namespace stores to a directory, while it is in use."""
    _report(target, directory, run_loop(_back_up(target, directory)), "back: talka restore")


async def _back_up(target: Target, directory: Path) -> Backup:
    from talka_services.backups import back_up

    async with reach_server(target) as connection:
        return await back_up(connection, directory, _shown(target))


def restore(target: Target, directory: Written, replicas: Replicas = 1) -> None:
    """Make a namespace anew from a backup, on a server or in a data directory that does not have it."""
    _report(target, directory, run_loop(_restore(target, directory, replicas)), "")


async def _restore(target: Target, directory: Path, replicas: int) -> Backup:
    from talka_services.backups import read_backup, restore

    # A directory that cannot be restored should not leave an empty data directory behind.
    read_backup(directory)
    async with reach_server(target, create=True) as connection:
        return await restore(connection, directory, replicas=replicas, step=_shown(target))


def _shown(target: Target) -> Callable[[str, SavedStream], None] | None:
    if target.is_json:
        return None

    def show(what: str, saved: SavedStream) -> None:
        messages = int(saved.state.get("messages", 0))
        console().print(f"  {what:9} {messages:>9,} messages {saved.bytes:>13,} bytes")

    return show


def _report(target: Target, directory: Path, done: Backup, then: str) -> None:
    if target.is_json:
        streams = {
            what: {"messages": saved.state.get("messages", 0), "bytes": saved.bytes}
            for what, saved in done.streams.items()
        }
        print_json(
            {
                "directory": str(directory),
                "namespace": done.namespace,
                "taken_at": done.taken_at,
                "bytes": done.bytes,
                "streams": streams,
            }
        )
        return
    console().print(f"{plain(directory)}: namespace {done.namespace}, {done.bytes:,} bytes")
    if then:
        console().print(f"  {then} {plain(directory)}")
