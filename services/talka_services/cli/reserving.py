"""``talka reserve``: resources kept for a time to come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import uuid4

import typer

from talka_protocols.workflow import DEFAULT_TENANT, ResourceRequirements
from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.screen import console, local_time, plain, print_json, print_table
from talka_services.cli.sections import Group
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.resource.state import Booking, PoolRecord, Reservation
    from talka_services.client.resources import ResourceManager

T = TypeVar("T")

Amounts = Annotated[
    list[str], typer.Argument(metavar="NAME=AMOUNT...", help="What to keep on one worker, e.g. cpu_cores=4.")
]
Name = Annotated[str, typer.Argument(metavar="ID", help="The reservation's id.")]
Id = Annotated[str, typer.Option("--id", help="What tasks name it by; made up if left out.")]
Starts = Annotated[
    str, typer.Option("--starts", metavar="WHEN", help="An instant (no offset: UTC), or a time from now: 2h.")
]
Lasts = Annotated[str, typer.Option("--for", metavar="TIME", help="How long it is kept: 30m, 2h.")]
Pool = Annotated[str, typer.Option("--pool", help="The pool.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose tasks may use it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=Group, help="Keep resources for a time to come.", no_args_is_help=True)
    command(group, "create")(create)
    command(group, "list")(list_reservations)
    command(group, "cancel")(cancel)
    app.add_typer(group, name="reserve")


def create(
    target: Target,
    amounts: Amounts,
    starts: Starts,
    lasts: Lasts = "1h",
    name: Id = "",
    pool: Pool = "default",
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Keep amounts on one worker from --starts on, for a task that names the id as its `reservation`."""
    from talka_services.cli.moments import parse_seconds

    requirements, starts_at = _requirements(amounts), _instant(starts)
    seconds = parse_seconds(lasts, "--for")
    made = run_loop(
        _ask(
            target,
            pool,
            lambda resources: resources.reserve_resources(
                requirements, seconds=seconds, starts_at=starts_at, reservation_id=name, tenant=tenant
            ),
        )
    )
    if target.is_json:
        document = {"id": made.id, "pool": made.pool, "starts_at": starts_at, "expires_at": made.expires_at}
        print_json(document)
    else:
        console().print(
            f"{plain(made.id)} is reserved: {local_time(starts_at)} to {local_time(made.expires_at)}"
        )


def list_reservations(target: Target, pool: Pool = "default") -> None:
    """Show what is reserved in a pool, the earliest first."""
    found = [_document(name, one) for name, one in _all(run_loop(_pool(target, pool))).items()]
    found.sort(key=lambda entry: (entry["starts_at"] or 0.0, entry["id"]))
    if target.is_json:
        print_json({"reservations": found})
        return
    rows = (
        (
            plain(entry["id"]),
            entry["state"],
            local_time(entry["starts_at"]) if entry["starts_at"] else "",
            local_time(entry["expires_at"]),
            plain(entry["worker_id"]),
            plain(", ".join(f"{name} {amount:g}" for name, amount in entry["amounts"].items())),
            plain(entry["tenant"]),
        )
        for entry in found
    )
    print_table(("reservation", "state", "starts", "expires", "worker", "amounts", "tenant"), rows)


def cancel(target: Target, name: Name, pool: Pool = "default") -> None:
    """Give a reservation up, whether it has begun or not; tasks that wait for it fail."""
    run_loop(_ask(target, pool, lambda resources: resources.cancel_reservation(name)))
    if target.is_json:
        print_json({"id": name, "pool": pool, "cancelled": True})
    else:
        console().print(f"{plain(name)} is cancelled")


def _requirements(pairs: list[str]) -> ResourceRequirements:
    amounts = parse_amounts(pairs, "")
    built_in = {name: amounts.pop(name) for name in list(amounts) if name in _BUILT_IN}
    gpus = built_in.pop("gpu_count", 0.0)
    if gpus != int(gpus):
        raise UsageError(f"gpu_count={gpus:g} is no whole number.", hint="Whole GPUs are reserved.")
    return ResourceRequirements(**built_in, gpu_count=int(gpus), custom_resources=amounts)


_BUILT_IN = frozenset(ResourceRequirements.__struct_fields__) - {"custom_resources"}


def _instant(text: str) -> float:
    import time
    from zoneinfo import ZoneInfo

    from talka_services.cli.moments import is_duration, parse_instant, parse_seconds

    now = time.time()
    if is_duration(text):
        return now + parse_seconds(text, "--starts")
    instant = parse_instant(text, "--starts", ZoneInfo("UTC"))
    if instant <= now:
        raise UsageError(f"--starts {text!r} is in the past.", hint="Give an instant to come, or 10m.")
    return instant


def _all(state: PoolRecord) -> dict[str, Reservation | Booking]:
    return {**state.reservations, **state.bookings}


def _document(name: str, one: Reservation | Booking) -> dict[str, Any]:
    from talka_core.resource.state import Booking

    starts_at = one.starts_at / 1000 if isinstance(one, Booking) else None
    return {
        "id": name,
        "state": "booked" if isinstance(one, Booking) else "active",
        "starts_at": starts_at,
        "expires_at": one.expires_at / 1000,
        "worker_id": one.worker_id,
        "amounts": one.amounts,
        "tenant": one.tenant,
    }


async def _pool(target: Target, pool: str) -> PoolRecord:
    from talka_services.cli.records import open_records

    async with open_records(target) as records:
        return await records.histories.pool(pool)


async def _ask(target: Target, pool: str, question: Callable[[ResourceManager], Awaitable[T]]) -> T:
    from talka_services.cli.reach import reach
    from talka_services.client.resources import ResourceManager

    async with reach(target) as orchestrator:
        resources = ResourceManager(
            orchestrator.node, orchestrator.histories, f"reserve-{uuid4().hex[:8]}", pool
        )
        try:
            return await question(resources)
        finally:
            await resources.close()
