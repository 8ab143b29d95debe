"""``talka top``: what the platform is busy with, on one screen that renews itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import coloured, console, duration, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from talka_protocols.results import ExecutionStatus
    from talka_protocols.workflow import ResourceInventory
    from talka_services.client.histories import Histories
    from talka_services.gateway.overview import Overview

BAR_WIDTH = 20
NAMES_SHOWN = 3
EXECUTIONS = 20

Interval = Annotated[float, typer.Option("--interval", "-n", min=0.1, help="Seconds between two looks.")]
Once = Annotated[bool, typer.Option("--once", help="Look once and end.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "top")(top)


def top(target: Target, interval: Interval = 1.0, once: Once = False) -> None:
    """Show what is busy: pools, workers, and the executions that run, renewed until Ctrl-C.

    Where nobody watches, as in a pipe or with --json, it looks once.
    """
    run_loop(_top(target, interval, is_once=once or target.is_json))


async def _top(target: Target, interval: float, *, is_once: bool) -> None:
    from talka_services.cli.reach import reach_node
    from talka_services.client.histories import Histories
    from talka_services.gateway.overview import Overview

    async with reach_node(target) as node:
        ports = node.ports
        histories = Histories(ports.log, ports.blobs, ports.shards, ports.snapshots)
        overview = Overview(node.connection, histories)
        screen = console()
        try:
            if target.is_json:
                print_json(_document(*await _look(overview, histories)))
            elif is_once or not screen.is_terminal:
                screen.print(_drawn(*await _look(overview, histories)))
            else:
                await _watch(overview, histories, interval)
        finally:
            await overview.close()


async def _watch(overview: Overview, histories: Histories, interval: float) -> None:
    """Draw again and again, until a signal asks to stop."""
    from rich.live import Live

    from talka_services.cli.following import interrupts

    with interrupts() as taken, Live(console=console(), screen=True, auto_refresh=False) as live:
        while not taken.asked.is_set():
            live.update(_drawn(*await _look(overview, histories)), refresh=True)
            try:
                async with asyncio.timeout(interval):
                    await taken.asked.wait()
            except TimeoutError:
                continue


async def _look(
    overview: Overview, histories: Histories
) -> tuple[list[ExecutionStatus], list[ResourceInventory], int]:
    """Return what goes on, newest first, what the pools have, and how many executions there are in all."""
    from talka_core.status import inventory_of
    from talka_protocols.states import FINAL_EXECUTION_STATES
    from talka_protocols.subjects import POOL

    order, _ = await overview.standings()
    statuses = [overview.standing(name).status for _, name in order]
    live = [status for status in statuses if status.status not in FINAL_EXECUTION_STATES]
    inventories = [inventory_of(await histories.pool(name)) for name in await histories.names(POOL)]
    return live, inventories, len(order)


def _document(
    live: list[ExecutionStatus], inventories: list[ResourceInventory], total: int
) -> dict[str, Any]:
    from msgspec import to_builtins

    return {
        "executions": total,
        "live": to_builtins(live),
        "pools": to_builtins(inventories),
    }


def _drawn(live: list[ExecutionStatus], inventories: list[ResourceInventory], total: int) -> RenderableType:
    from rich.console import Group

    now = time.strftime("%H:%M:%S")
    head = f"[b]talka top[/]  {now}  {len(live)} of {total} executions go on"
    parts: list[RenderableType] = [head, _pools(inventories), _workers(inventories), _executions(live)]
    return Group(*parts)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _pools(inventories: list[ResourceInventory]) -> Table:
    from talka_core.status import use_of

    table = _table("pool", "workers", "waiting", "in use", right=("workers", "waiting"))
    for inventory in inventories:
        workers, waiting = str(len(inventory.workers)), str(inventory.waiting)
        used = "  ".join(f"{plain(name)} {_bar(*amounts)}" for name, amounts in use_of(inventory).items())
        table.add_row(plain(inventory.pool), workers, waiting, used)
    return table


def _bar(used: float, whole: float) -> str:
    filled = round(BAR_WIDTH * used / whole) if whole else 0
    style = "red" if whole and used >= whole else "green"
    return f"[{style}]{'█' * filled}[/]{'░' * (BAR_WIDTH - filled)} {used:g}/{whole:g}"


def _workers(inventories: list[ResourceInventory]) -> Table:
    table = _table("worker", "pool", "running", "cpu in use", "", right=("running", "cpu in use"))
    for inventory in inventories:
        for worker in inventory.workers:
            offered = worker.capacity.get("cpu_cores", 0.0)
            cores = f"{offered - worker.free.get('cpu_cores', 0.0):g}/{offered:g}"
            running = str(worker.slots - worker.slots_free)
            state = "draining" if worker.is_draining else ""
            table.add_row(plain(worker.worker_id), plain(inventory.pool), running, cores, state)
    return table


def _executions(live: list[ExecutionStatus]) -> Table:
    table = _table("execution", "name", "status", "tasks", "for", "running", right=("tasks", "for"))
    for status in live[:EXECUTIONS]:
        names = ", ".join(plain(name) for name in status.running[:NAMES_SHOWN])
        more = len(status.running) - NAMES_SHOWN
        since = time.time() - status.started_at if status.started_at else None
        table.add_row(
            plain(status.execution_id),
            plain(status.name),
            coloured(status.status.value),
            f"{status.done}/{status.total}",
            duration(since),
            f"{names} and {more} more" if more > 0 else names,
        )
    if len(live) > EXECUTIONS:
        table.add_row(f"and {len(live) - EXECUTIONS} more", "", "", "", "", "")
    return table
