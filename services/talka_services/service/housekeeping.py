"""What a namespace needs now and then, done by one process at a time."""

from __future__ import annotations

import asyncio

from talka_protocols.errors import TalkaError
from talka_protocols.ports import Lease, Leases
from talka_services.jetstream.collector import collect
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.sweeping import Sweeper
from talka_services.telemetry import get_logger

FIRST_S = 60.0
EVERY_S = 3_600.0

SWEEP_S = 1.0

log = get_logger(__name__)


async def sweep_inboxes(connection: Connection, leases: Leases, holder: str) -> None:
    """Remove what workers have settled from their inboxes, for as long as this task runs."""
    while True:
        lease: Lease | None = None
        try:
            lease = await leases.acquire("inboxes", holder)
            sweeper = Sweeper(connection)
            while lease.is_held():
                await sweeper.sweep()
                await asyncio.sleep(SWEEP_S)
        except TalkaError as error:
            log.warning("inboxes.not_swept", error=str(error))
            await asyncio.sleep(SWEEP_S)
        finally:
            if lease is not None:
                await lease.release()


async def keep_house(connection: Connection, leases: Leases, holder: str) -> None:
    """Collect stored values that nothing names, once an hour, for as long as this task runs."""
    await asyncio.sleep(FIRST_S)
    while True:
        lease: Lease | None = None
        try:
            lease = await leases.acquire("housekeeping", holder)
            while lease.is_held():
                removed = await collect(connection)
                log.info("house.collected", removed=len(removed))
                await asyncio.sleep(EVERY_S)
        except TalkaError as error:
            log.warning("house.not_kept", error=str(error))
            await asyncio.sleep(FIRST_S)
        finally:
            if lease is not None:
                await lease.release()
