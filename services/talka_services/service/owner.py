"""Owns addresses of one kind by lease, and runs an actor at each for as long as it holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from talka_core.behaviour import Behaviour
from talka_core.planner import PLANNER
from talka_core.resource import RESOURCE
from talka_core.scheduler import SCHEDULER
from talka_core.starter import STARTER
from talka_core.trigger import TRIGGER_BEHAVIOUR
from talka_protocols.errors import TalkaError
from talka_protocols.events import PoolOwnershipTaken
from talka_protocols.messages import Recipient
from talka_protocols.ports import Lease
from talka_services.jetstream.connection import Connection
from talka_services.runner.actor import Actor, Address
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster
from talka_services.runner.states import LeaseLostError
from talka_services.service.balance import Balance, peer_of
from talka_services.service.configuration import PoolConfiguration
from talka_services.service.improver import Improver
from talka_services.service.liveness import PoolWatch
from talka_services.strategies import plug_in
from talka_services.telemetry import get_logger

BACKOFF_S = 0.2
BACKOFF_MAX_S = 5.0
STOP_S = 2.0
HANDED_S = 1.0
"""How long whoever gave an address up leaves it to those that wait for it."""

log = get_logger(__name__)

BEHAVIOURS: dict[Recipient, Behaviour[Any, Any, Any]] = {
    Recipient.PLANNER: PLANNER,
    Recipient.SCHEDULER: SCHEDULER,
    Recipient.STARTER: STARTER,
    Recipient.TRIGGER: TRIGGER_BEHAVIOUR,
    Recipient.RESOURCE: RESOURCE,
}


class Owner:
    """One service: the planner, the scheduler or the resource service of a process.

    ``configuration`` is told to every pool that it takes over.
    """

    def __init__(
        self,
        kind: Recipient,
        ids: Iterable[str],
        ports: Ports,
        connection: Connection,
        holder: str,
        configuration: PoolConfiguration | None = None,
    ) -> None:
        self.kind = kind
        self._ids = tuple(ids)
        self._ports = ports
        self._connection = connection
        self._holder = holder
        self._configuration = configuration or PoolConfiguration()
        self._actors: dict[Address, Actor] = {}
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._improver = Improver(ports) if kind is Recipient.PLANNER else None
        self._balance = Balance(kind.value, self._ids, connection, peer_of(holder), self._hand_over)
        self._balancing: asyncio.Task[None] | None = None
        self._handed: set[Address] = set()
        self._is_stopping = False

    @property
    def owned(self) -> list[str]:
        """Return the ids of the shards, or the names of the pools, that it owns now."""
        return [address.id for address in self._actors]

    def start(self) -> None:
        """Begin to compete for the addresses."""
        if self.kind is Recipient.PLANNER:
            plug_in()
        addresses = [Address(self.kind, id_) for id_ in self._ids]
        self._tasks = {
            address: asyncio.create_task(self._keep(address), name=f"own {address}") for address in addresses
        }
        balancing = self._balance.run(lambda: self.owned)
        self._balancing = asyncio.create_task(balancing, name=f"balance {self.kind.value}")

    async def stop(self) -> None:
        """Finish what is at hand and give every address up."""
        self._is_stopping = True
        if self._balancing is not None:
            self._balancing.cancel()
            await asyncio.wait([self._balancing])
        if self._improver is not None:
            await self._improver.close()
        for address, task in self._tasks.items():
            actor = self._actors.get(address)
            if actor is None:
                task.cancel()
            else:
                actor.stop()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks.values(), timeout=STOP_S)
        for task in late:
            task.cancel()
        if late:
            _, late = await asyncio.wait(late, timeout=STOP_S)
        for task in late:
            # What it still waits for ends with the connection, and its lease by itself.
            log.warning("owner.not_ended", task=task.get_name())

    def _hand_over(self, id_: str) -> None:
        """Give an address up for another service, which waits for it."""
        address = Address(self.kind, id_)
        self._handed.add(address)
        self._actors[address].stop()

    async def _keep(self, address: Address) -> None:
        """Own one address again and again until stopped."""
        backoff_s = BACKOFF_S
        while not self._is_stopping:
            lease = await self._acquire(address)
            if lease is None:
                return
            try:
                await self._own(address, lease)
                backoff_s = BACKOFF_S
            except LeaseLostError as error:
                log.warning("owner.stepped_down", address=str(address), reason=str(error))
            except TalkaError as error:
                log.warning("owner.failed", address=str(address), error=str(error))
            except Exception:
                log.exception("owner.crashed", address=str(address))
            finally:
                await self._release(address, lease)
            if address in self._handed:
                self._handed.discard(address)
                await asyncio.sleep(HANDED_S)
            elif not self._is_stopping:
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_MAX_S, 2 * backoff_s)

    async def _release(self, address: Address, lease: Lease) -> None:
        try:
            await lease.release()
        except Exception:
            log.exception("lease.not_released", address=str(address))

    async def _acquire(self, address: Address) -> Lease | None:
        backoff_s = BACKOFF_S
        while not self._is_stopping:
            try:
                return await self._ports.leases.acquire(f"{address.kind.value}.{address.id}", self._holder)
            except TalkaError as error:
                log.warning("lease.not_acquired", address=str(address), error=str(error))
                await asyncio.sleep(BACKOFF_S)
            except Exception:
                log.exception("lease.crashed", address=str(address))
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_MAX_S, 2 * backoff_s)
        return None

    async def _own(self, address: Address, lease: Lease) -> None:
        """Run the actor until it is stopped or the lease is lost."""
        watch = PoolWatch(address.id, self._ports, self._connection) if self._is_pool else None
        actor = self._build(address, lease, watch)
        self._actors[address] = actor
        for message in self._configuration.messages(address.id) if self._is_pool else ():
            actor.tell(message)
        running = asyncio.create_task(actor.run(), name=f"run {address}")
        losing = asyncio.create_task(lease.lost(), name=f"lease {address}")
        try:
            if watch is not None:
                await watch.open(actor.tell)
            await asyncio.wait((running, losing), return_when=asyncio.FIRST_COMPLETED)
            if losing.done() and not running.done():
                raise LeaseLostError(f"{address}: the lease is lost.")
            await running
        finally:
            del self._actors[address]
            for task in (running, losing):
                task.cancel()
            await asyncio.wait((running, losing))
            if watch is not None:
                await watch.close()

    @property
    def _is_pool(self) -> bool:
        return self.kind is Recipient.RESOURCE

    def _build(self, address: Address, lease: Lease, watch: PoolWatch | None) -> Actor:
        behaviour, ports = BEHAVIOURS[self.kind], self._ports
        shard = "-" if self._is_pool else address.id
        journal = StoredJournal(behaviour.log_kind, shard, ports, Definitions(ports.blobs))
        roster = None if self._is_pool else Roster(self.kind.value, address.id, ports, lease.epoch)
        return Actor(
            behaviour,
            address,
            ports,
            journal,
            lease=lease,
            roster=roster,
            holder=self._holder,
            perform=self._improver.perform if self._improver else None,
            claim=PoolOwnershipTaken if self._is_pool else None,
            on_look=watch.check if watch else None,
        )
