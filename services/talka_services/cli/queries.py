"""``talka status``, ``workers`` and ``pools``: what there is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import (
    coloured,
    console,
    duration,
    local_time,
    plain,
    print_json,
    print_table,
)
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_protocols.results import ExecutionStatus
    from talka_protocols.workflow import ResourceInventory
    from talka_services.client.histories import Histories

ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
Pool = Annotated[str | None, typer.Option("--pool", help="Only this pool.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "status")(status)
    command(app, "workers")(workers)
    command(app, "pools")(pools)


def status_document(status: ExecutionStatus) -> dict[str, Any]:
    """Return a status as JSON: times in Unix seconds, null if never."""
    return {
        "execution_id": status.execution_id,
        "name": status.name,
        "status": status.status.value,
        "version": status.version,
        "done": status.done,
        "total": status.total,
        "counts": {task_status.value: count for task_status, count in status.counts.items()},
        "running": list(status.running),
        "waiting": list(status.waiting),
        "started_at": status.started_at,
        "finished_at": status.finished_at,
        "reason": status.reason,
        "parent": _plain_struct(status.parent) if status.parent else None,
        "paused": list(status.paused),
        "parked": list(status.parked),
        "alerts": list(status.alerts),
        "archived": status.archived or None,
    }


# --- status ------------------------------------------------------------------------------------


def status(target: Target, execution_id: ExecutionId) -> None:
    """Show where an execution stands, with every task."""
    from msgspec.structs import replace

    from talka_core.status import result_of, status_of
    from talka_services.cli.report import reason_of, task_document, usage_document

    state, archived = run_loop(_execution(target, execution_id))
    current, result = status_of(state), result_of(state)
    current = replace(current, archived=archived or current.archived)
    if target.is_json:
        tasks = {
            task_id: task_document(task) | usage_document(task) for task_id, task in result.tasks.items()
        }
        print_json(status_document(current) | {"makespan_s": result.makespan_s, "tasks": tasks})
        return
    console().print(
        f"{plain(current.name)}  {coloured(current.status.value)}  {current.done}/{current.total} tasks"
        f"  started {local_time(current.started_at)}  took {elapsed(current)}"
    )
    if current.parent:
        parent = current.parent
        console().print(f"  sub-workflow of task {plain(parent.task_id)} of {plain(parent.execution_id)}")
    if current.reason:
        console().print(f"  {plain(current.reason)}")
    if current.archived:
        console().print(f"  archived: {plain(current.archived)}")
    for alert in current.alerts:
        console().print(f"  [yellow]alert[/]  {plain(alert)}")
    rows = (
        (
            plain(task.task_id),
            coloured(task.status.value)
            + (", paused" if task.task_id in current.paused else "")
            + (", parked" if task.task_id in current.parked else ""),
            str(task.attempts),
            plain(task.worker or "-"),
            duration(_between(task.started_at, task.finished_at)),
            plain(reason_of(task)),
        )
        for task in result.tasks.values()
    )
    columns = ("task", "status", "attempts", "worker", "took", "reason")
    print_table(columns, rows, right=("attempts", "took"))


async def _execution(target: Target, wanted: str) -> tuple[ExecutionRecord, str]:
    """Return an execution's state, and where it lies if it is archived."""
    from talka_services.cli.records import open_execution

    async with open_execution(target, wanted) as (records, execution_id):
        return await records.histories.execution(execution_id), records.archived


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


def elapsed(status: ExecutionStatus) -> str:
    """Return how long an execution took, for people."""
    return duration(_between(status.started_at, status.finished_at))


# --- workers and pools ---------------------------------------------------------------------------


def workers(target: Target, pool: Pool = None) -> None:
    """Show the workers that are there, and what is free on each."""
    inventories = run_loop(_inventories(target, pool))
    if target.is_json:
        found = [
            {"pool": inventory.pool, **_plain_struct(worker)}
            for inventory in inventories
            for worker in inventory.workers
        ]
        print_json({"workers": found})
        return
    rows = (
        (
            plain(worker.worker_id),
            inventory.pool,
            f"{worker.slots_free}/{worker.slots}",
            plain(_amounts(worker.free, worker.capacity)),
            plain(", ".join(worker.agent_types)),
            plain(", ".join(f"{name}={value}" for name, value in sorted(worker.labels.items()))),
            "draining" if worker.is_draining else "",
        )
        for inventory in inventories
        for worker in inventory.workers
    )
    columns = ("worker", "pool", "slots free", "free/offered", "agent types", "labels", "")
    print_table(columns, rows, right=("slots free",))


def pools(target: Target) -> None:
    """Show the pools: their workers, what is free, and what waits."""
    inventories = run_loop(_inventories(target, None))
    if target.is_json:
        print_json({"pools": [_plain_struct(inventory) for inventory in inventories]})
        return
    rows = (
        (
            inventory.pool,
            str(len(inventory.workers)),
            inventory.strategy or "priority",
            plain(_amounts(*_totals(inventory))),
            str(inventory.waiting),
            str(inventory.reservations),
            plain(", ".join(f"{name} {phase}" for name, phase in inventory.breakers.items())),
            plain(", ".join(f"{name} {tenant.share:.0%}" for name, tenant in inventory.tenants.items())),
        )
        for inventory in inventories
    )
    known = ("pool", "workers", "strategy", "free/offered", "waiting", "reservations")
    columns = (*known, "circuit breakers", "tenants")
    print_table(columns, rows, right=("workers", "waiting", "reservations"))


async def _inventories(target: Target, pool: str | None) -> list[ResourceInventory]:
    from talka_core.status import inventory_of
    from talka_services.cli.records import open_records

    async with open_records(target) as records:
        histories = records.histories
        names = await _pool_names(histories) if pool is None else [pool]
        return [inventory_of(await histories.pool(name)) for name in names]


async def _pool_names(histories: Histories) -> list[str]:
    from talka_protocols.subjects import POOL

    return await histories.names(POOL)


def _plain_struct(value: object) -> dict[str, Any]:
    from msgspec import to_builtins

    found: dict[str, Any] = to_builtins(value)
    return found


def _totals(inventory: ResourceInventory) -> tuple[dict[str, float], dict[str, float]]:
    free: dict[str, float] = {}
    offered: dict[str, float] = {}
    for name, whole in inventory.shared.items():
        offered[name], free[name] = whole.capacity, whole.free
    for worker in inventory.workers:
        for name, amount in worker.capacity.items():
            if name in inventory.shared:
                continue
            offered[name] = offered.get(name, 0.0) + amount
            free[name] = free.get(name, 0.0) + worker.free.get(name, 0.0)
    return free, offered


def _amounts(free: dict[str, float], offered: dict[str, float]) -> str:
    return ", ".join(f"{name} {free.get(name, 0.0):g}/{amount:g}" for name, amount in sorted(offered.items()))
