"""Everything of one process: its connection, its services and its workers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from talka_protocols.messages import Recipient
from talka_protocols.messages.speakers import Role
from talka_protocols.permissions import PLANNING
from talka_protocols.ports import Inbox
from talka_protocols.seals import SEAL_BYTES_MAX, place_of_subject
from talka_protocols.subjects import Names
from talka_services.executors.registry import Executors
from talka_services.jetstream.access import Access
from talka_services.jetstream.alarms import JetStreamAlarms
from talka_services.jetstream.blobs import JetStreamBlobs
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.leases import JetStreamLeases
from talka_services.jetstream.log import JetStreamLog
from talka_services.jetstream.post import JetStreamPost
from talka_services.jetstream.settings import ensure_settings
from talka_services.jetstream.snapshots import JetStreamSnapshots
from talka_services.jetstream.topology import ensure_topology
from talka_services.runner.ports import Ports
from talka_services.sealing.ports import (
    SealedAlarms,
    SealedBlobs,
    SealedInbox,
    SealedLog,
    SealedPost,
    SealedSnapshots,
)
from talka_services.service.configuration import PoolConfiguration
from talka_services.service.housekeeping import keep_house, sweep_inboxes
from talka_services.service.intake import take_in_events
from talka_services.service.neighbours import Neighbours
from talka_services.service.owner import Owner
from talka_services.service.worker import WorkerOptions, WorkerService
from talka_services.telemetry import get_logger, prepare
from talka_services.witness import Witness

log = get_logger(__name__)

SHARDS = 4
SNAPSHOT_EVERY = 10_000
"""Events between snapshots: folding so many takes 40 ms, and a snapshot of 1,000 tasks has a megabyte."""
STOP_S = 2.0
ALL_SERVICES = (*PLANNING, Recipient.SCHEDULER, Recipient.RESOURCE)


def jetstream_ports(connection: Connection, shards: int, snapshot_every: int = SNAPSHOT_EVERY) -> Ports:
    """Return the ports over a connection whose topology exists."""
    names, vault = connection.names, connection.vault
    room = connection.max_bytes - (SEAL_BYTES_MAX if vault.has_keys else 0)

    async def open_at(kind: str, address: str, on_renewed: Callable[[], None]) -> Inbox:
        inbox = await open_inbox(connection, kind, address, on_renewed)
        return SealedInbox(inbox, vault, place_of_subject(names, names.inbox(kind, address)))

    neighbours = Neighbours(SealedPost(JetStreamPost(connection), vault, names), open_at, names)
    return Ports(
        log=SealedLog(JetStreamLog(connection), vault, names.namespace),
        snapshots=SealedSnapshots(JetStreamSnapshots(connection), vault, names.namespace),
        post=neighbours,
        blobs=SealedBlobs(JetStreamBlobs(connection), vault),
        leases=JetStreamLeases(connection),
        open_inbox=neighbours.open_inbox,
        names=names,
        shards=shards,
        alarms=SealedAlarms(JetStreamAlarms(connection), vault, names),
        snapshot_every=snapshot_every,
        max_bytes=min(room, 4_000_000),
        payload_bytes=room,
    )


class Node:
    """A process's share of the platform; use it as an async context manager, or ``open`` and ``close``.

    ``lost`` says of each of its workers that could not go on, by worker id, why.
    """

    def __init__(self, connection: Connection, ports: Ports) -> None:
        self.connection = connection
        self.ports = ports
        self.holder = f"{socket.gethostname()}:{os.getpid()}"
        self.workers: list[WorkerService] = []
        self.lost: dict[str, Exception] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._owners: list[Owner] = []
        self._witness: Witness | None = None
        self._speakers: set[str] = set()

    @classmethod
    async def open(
        cls,
        servers: str | Sequence[str],
        *,
        namespace: str = "default",
        name: str = "talka",
        shards: int | None = None,
        default_shards: int = SHARDS,
        snapshot_every: int = SNAPSHOT_EVERY,
        access: Access | None = None,
    ) -> Node:
        """Connect, and make the namespace's streams on first use.

        Raises:
            ServerUnavailableError: no server answers, or it cannot be used.
            CallerError: the namespace was made with another number of shards.
        """
        connection = await connect(servers, name, Names(namespace), access)
        try:
            await ensure_topology(connection)
            settings = await ensure_settings(connection, shards, default_shards)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, jetstream_ports(connection, settings.shards, snapshot_every))

    def own(
        self,
        kinds: Iterable[Recipient] = ALL_SERVICES,
        pools: Sequence[str] = ("default",),
        configuration: PoolConfiguration | None = None,
    ) -> None:
        """Begin to compete for every shard of these services, and for these pools.

        A ``configuration`` is declared for each of the pools as soon as it is ours.
        """
        prepare()
        kinds = tuple(kinds)
        self._act_as(*(Role.PLANNER.value if kind in PLANNING else kind.value for kind in kinds))
        shards = [str(shard) for shard in range(self.ports.shards)]
        for kind in kinds:
            ids = pools if kind is Recipient.RESOURCE else shards
            owner = Owner(kind, ids, self.ports, self.connection, self.holder, configuration)
            owner.start()
            self._owners.append(owner)
            if kind is Recipient.TRIGGER:
                intake = take_in_events(self.ports, self.connection, self.holder)
                self._watching.add(asyncio.create_task(intake, name="intake of events"))
            if kind is Recipient.RESOURCE:
                house = keep_house(self.connection, self.ports.leases, self.holder)
                self._watching.add(asyncio.create_task(house, name="housekeeping"))
                sweeping = sweep_inboxes(self.connection, self.ports.leases, self.holder)
                self._watching.add(asyncio.create_task(sweeping, name="sweeping of inboxes"))

    async def add_worker(self, options: WorkerOptions, executors: Executors) -> WorkerService:
        """Start one worker."""
        self._act_as(f"{Role.WORKER.value}.{options.worker_id}")
        if options.is_witnessed and self._witness is None:
            connection = self.connection
            self._witness = Witness(connection.servers, connection.names.namespace, connection.access)
        witness = self._witness if options.is_witnessed else None
        worker = WorkerService(options, executors, self.ports, self.connection, witness)
        await worker.start()
        self.workers.append(worker)
        task = asyncio.create_task(self._watch(worker), name=f"watch {options.worker_id}")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return worker

    def _act_as(self, *speakers: str) -> None:
        """Speak as what this process is, and as the platform itself if it is more than one thing."""
        self._speakers.update(speakers)
        one, *others = sorted(self._speakers)
        self.connection.speaker = Role.PLATFORM.value if others else one

    async def _watch(self, worker: WorkerService) -> None:
        """Take note when a worker cannot go on; one that merely crashed starts again by itself."""
        try:
            await worker.failed()
        except Exception as error:  # noqa: BLE001  (whatever ended it is what there is to know)
            log.error("node.worker_lost", worker=worker.options.worker_id, error=str(error))
            self.lost[worker.options.worker_id] = error

    async def close(self) -> None:
        """Stop the workers, then the services, then the connection.

        It ends within the workers' drain time and some seconds, also while the server is away.
        """
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        for task in [*self._watching]:
            task.cancel()
        if self._watching:
            await asyncio.wait([*self._watching], timeout=STOP_S)
        await asyncio.gather(*(owner.stop() for owner in self._owners))
        await self.connection.close()
        if self._witness is not None:
            self._witness.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


__all__ = ["ALL_SERVICES", "PLANNING", "Node", "jetstream_ports"]
