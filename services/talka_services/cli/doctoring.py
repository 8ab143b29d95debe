"""``talka doctor``: whether the server and its streams are as Talka needs them, and what to do if not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from shutil import disk_usage
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from talka_protocols.permissions import Service, User
from talka_services.cli.command import Target, command
from talka_services.cli.outcome import ExitCode, UsageError
from talka_services.cli.screen import console, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.checkup import Finding
    from talka_services.jetstream.connection import Connection

COLOURS = {"ok": "green", "unknown": "magenta", "warning": "yellow", "error": "red"}

Monitor = Annotated[
    str | None,
    typer.Option(
        "--monitor",
        metavar="URL",
        help="The server's monitoring port (http://host:8222), which knows its disk and more; of several "
        "servers all of theirs, separated by commas.",
    ),
]

ForService = Annotated[
    Service | None,
    typer.Option("--service", help="Check that our user may do all that this service does."),
]
ForWorker = Annotated[
    str, typer.Option("--worker-id", help="With --service worker: the worker whose key we have.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor")(doctor)


def doctor(
    target: Target, monitor: Monitor = None, service: ForService = None, worker_id: ForWorker = "*"
) -> None:
    """Check the server, its streams, clock, storage and permissions, and say what to do. Changes nothing."""
    monitors = monitor.split(",") if monitor is not None else []
    for url in monitors:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--monitor {url!r} is no URL.", hint="Write http://host:8222.")
    user = User(service, worker_id) if service is not None else None
    findings = run_loop(_check(target, monitors, user))
    is_well = not any(finding.level == "error" for finding in findings)
    if target.is_json:
        print_json({"well": is_well, "findings": [msgspec.structs.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    if not is_well:
        raise typer.Exit(ExitCode.NOT_SUCCEEDED)


async def _check(target: Target, monitors: Sequence[str], user: User | None) -> list[Finding]:
    from talka_core.checkup import checkup
    from talka_services.jetstream.inspection import inspect
    from talka_services.jetstream.monitoring import node_at

    async with _reached(target) as (connection, is_synced, disk_free):
        nodes = [await node_at(monitor) for monitor in monitors]
        return checkup(await inspect(connection, is_synced, user, nodes, disk_free))


@asynccontextmanager
async def _reached(target: Target) -> AsyncGenerator[tuple[Connection, bool | None, int | None]]:
    """Connect, and tell whether the server syncs and how many bytes are free for it; make no stream.

    Both are known without asking of a server of our own, and of no other.

    Raises:
        ServerUnavailableError: no server answers at the address.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    from talka_protocols.subjects import Names
    from talka_services.cli.logs import configure_logs
    from talka_services.cli.reach import require_directory, running_durability
    from talka_services.embedded import EmbeddedServer
    from talka_services.jetstream.connection import connect

    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    names = Names(target.namespace)
    if target.server:
        connection = await connect(target.server.split(","), "talka doctor", names, target.access)
        try:
            yield connection, None, None
        finally:
            await connection.close()
        return
    require_directory(target.data_dir)
    async with EmbeddedServer(target.data_dir, running_durability(target.data_dir) or "power") as server:
        connection = await connect(server.url, "talka doctor", names)
        try:
            yield connection, server.facts.durability == "power", disk_usage(target.data_dir).free
        finally:
            await connection.close()


def _print(finding: Finding) -> None:
    colour = COLOURS[finding.level]
    line = f"[{colour}]{finding.level:<7}[/{colour}]  {finding.check:<11}  {plain(finding.subject)}: "
    console().print(line + plain(finding.message))
    if finding.advice:
        console().print(f"{'':22}{plain(finding.advice)}", style="dim")
