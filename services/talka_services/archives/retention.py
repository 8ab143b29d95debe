"""Keeps a namespace small by itself: archives what has been over for long enough, some at a time."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from talka_protocols.errors import TalkaError
from talka_protocols.ports import Lease
from talka_services.archives.archivist import Archivist
from talka_services.archives.depots import depot_of
from talka_services.jetstream.connection import Connection
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

EVERY_S = 3_600.0
AGAIN_S = 60.0
BATCH = 500
"""How many executions of their own go at a time; while there are more, the next follow at once."""
LEASE = "retention"

log = get_logger(__name__)


class Retention(Struct, frozen=True):
    """Executions are archived to ``place`` (a directory or a URL) when they have been over for ``after_s``.

    ``every_s`` is how often it is looked whether there are any.
    """

    place: str
    after_s: float
    every_s: float = EVERY_S


async def retain(connection: Connection, ports: Ports, retention: Retention, holder: str) -> None:
    """Archive for as long as this task runs, one process at a time, through every outage.

    Raises:
        CallerError: nothing can be archived at the place.
    """
    archivist = Archivist(connection, ports, depot_of(retention.place))
    while True:
        lease: Lease | None = None
        try:
            lease = await ports.leases.acquire(LEASE, holder)
            while lease.is_held():
                outcome = await archivist.run(
                    ports.clock.now_ms() - round(1000 * retention.after_s), limit=BATCH
                )
                log.info(
                    "retention.archived",
                    archived=len(outcome.archived),
                    finished=len(outcome.finished),
                    failed=len(outcome.failed),
                )
                if len(outcome.archived) < BATCH:
                    await asyncio.sleep(min(retention.every_s, max(1.0, retention.after_s)))
        except TalkaError as error:
            log.warning("retention.interrupted", error=str(error))
            await asyncio.sleep(min(AGAIN_S, retention.every_s))
        finally:
            if lease is not None:
                await lease.release()
