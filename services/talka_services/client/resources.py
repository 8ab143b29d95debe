"""Asking a pool for resources directly, without running a task."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec

from talka_core.ageing import aged
from talka_core.limits import SECONDS_MAX, check_id, check_resources
from talka_core.resource.placement import shortage
from talka_core.status import inventory_of
from talka_protocols.errors import CallerError, PlatformError, ResourcesUnavailable, ServerUnavailableError
from talka_protocols.events import Affinity, Holder
from talka_protocols.messages import (
    AllocationAnswered,
    EndReservation,
    ReleaseAllocation,
    ReleaseAnswered,
    RequestAllocation,
    ReservationAnswered,
    ReserveResources,
)
from talka_protocols.workflow import (
    DEFAULT_TENANT,
    DEFAULT_TIMEOUT_S,
    ReservationId,
    ResourceAllocation,
    ResourceInventory,
    ResourceRequirements,
    Task,
)
from talka_services.client.answers import Answers
from talka_services.client.histories import Histories
from talka_services.jetstream.connection import NoAnswerError
from talka_services.service.liveness import HEARTBEAT_S, Heartbeat
from talka_services.service.node import Node
from talka_services.telemetry import get_logger

ANSWER_S = 10.0
RELEASE_AGAIN_S = 2.0
CLOSING_S = 1.0
RESERVED_S = 60.0

log = get_logger(__name__)


class ResourceManager:
    """Allocations and reservations held by this client; they end when it stops renewing them."""

    def __init__(self, node: Node, histories: Histories, client_id: str, pool: str = "default") -> None:
        self._node = node
        self._histories = histories
        self._client_id = client_id
        self._pool = pool
        self._answers = Answers(node, client_id, pool)
        self._fences: dict[str, int] = {}
        self._releasing: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._renewing: asyncio.Task[None] | None = None

    @property
    def held(self) -> frozenset[str]:
        """Return the ids of the allocations whose lease this client renews, asked for or granted."""
        return frozenset(self._fences)

    async def allocate_resources(self, task: Task) -> ResourceAllocation:
        """Hold what a task requires until it is released, waiting up to the task's time-out.

        The lease is renewed in the background for as long as this client
        lives. Whoever cancels this call holds nothing: what was asked for is
        given back in the background.

        Raises:
            WorkflowInvalidError: an amount is no number from 0.
            ResourcesUnavailable: it did not become free in time; names the short resource.
            ServerUnavailableError: the server or the resource service does not answer.
        """
        check_resources(task.resources, ("resources",), f"Task {task.id!r}: ")
        allocation_id = f"{self._client_id}/{task.id}/{uuid4().hex[:8]}"
        amounts = task.resources.amounts()
        holder = Holder(task_id=task.id, client_id=self._client_id)
        reservation = task.labels.get("reservation", "")
        rank = aged((-float(task.priority),), self._node.ports.clock.now_ms())
        request = RequestAllocation(
            self._pool,
            allocation_id,
            holder,
            task.agent_type,
            amounts,
            rank,
            reservation,
            Affinity(task.requires, task.prefers),
        )
        limit_s = DEFAULT_TIMEOUT_S if task.timeout is None else task.timeout
        self._renew_from_now_on(allocation_id)
        try:
            answer = await self._answers.ask(request, allocation_id, AllocationAnswered, limit_s)
        except TimeoutError:
            await self._give_back(allocation_id, 0)
            reason = await self._shortage(request)
            raise ResourcesUnavailable(
                f"Nothing was free for task {task.id!r} within {limit_s:g} s. {reason}",
                hint="Ask for less, wait longer, or add workers.",
            ) from None
        except BaseException:
            self._begin_release(allocation_id, 0)
            raise
        self._fences[allocation_id] = answer.fence
        return ResourceAllocation(
            allocation_id,
            task.id,
            task.resources,
            task.agent_type,
            answer.granted_at / 1000,
            None,
            answer.worker_id,
            self._pool,
            answer.fence,
        )

    async def release_resources(self, allocation: ResourceAllocation) -> None:
        """Give an allocation back; twice, at once or later, or with an old fence, changes nothing.

        Raises:
            ServerUnavailableError: the release is not recorded yet; it is tried on in the background.
        """
        granted = self._fences.get(allocation.allocation_id)
        if granted is not None and allocation.fence not in (0, granted):
            return
        await self._give_back(allocation.allocation_id, allocation.fence)

    async def get_available_resources(self) -> ResourceInventory:
        """Return what the pool offers now."""
        return inventory_of(await self._histories.pool(self._pool))

    async def reserve_resources(
        self,
        requirements: ResourceRequirements,
        *,
        seconds: float = RESERVED_S,
        starts_at: float | None = None,
        expires_at: float | None = None,
        reservation_id: str = "",
        tenant: str = DEFAULT_TENANT,
    ) -> ReservationId:
        """Keep amounts free on one worker for a time, from now or from ``starts_at`` on (Unix seconds).

        It ends at ``expires_at``, or after so many ``seconds``. What begins now
        is for a task labelled ``reservation: <id>`` of this client. A task of an
        execution of the ``tenant`` uses it by naming it as its ``reservation``.

        Raises:
            WorkflowInvalidError: an amount is no number from 0.
            CallerError: it would end before it begins, or begin in the past.
            ResourcesUnavailable: no worker has them free then; names the short resource, or what overlaps.
            ServerUnavailableError: the server or the resource service does not answer.
        """
        check_resources(requirements, ("resources",), "The reservation: ")
        now_ms = self._node.ports.clock.now_ms()
        starts_ms = 0 if starts_at is None else round(1000 * starts_at)
        if starts_ms and starts_ms <= now_ms:
            raise CallerError("The reservation would begin in the past.", hint="Give a later starts_at.")
        if expires_at is not None:
            seconds = expires_at - (starts_ms or now_ms) / 1000
        if not 0 < seconds <= SECONDS_MAX:
            raise CallerError(
                f"The reservation would last {seconds:g} s.", hint="Let it end after it has begun."
            )
        reservation_id = reservation_id or f"{self._client_id}-{uuid4().hex[:8]}"
        check_id(reservation_id, ("reservation_id",), "id of the reservation")
        request = ReserveResources(
            self._pool,
            reservation_id,
            self._client_id,
            requirements.amounts(),
            ttl_ms=max(1, round(seconds * 1000)),
            starts_at=starts_ms,
            tenant=tenant,
        )
        answer = await self._reservation(request, reservation_id)
        if answer.reason:
            raise ResourcesUnavailable(f"The reservation was refused. {answer.reason}")
        return ReservationId(reservation_id, self._pool, answer.expires_at / 1000)

    async def cancel_reservation(self, reservation_id: str) -> None:
        """Give a reservation up, whether it has begun or not; once or twice is the same.

        Raises:
            CallerError: there is none, or it was used or has expired.
            ServerUnavailableError: the server or the resource service does not answer.
        """
        request = EndReservation(self._pool, reservation_id, self._client_id)
        answer = await self._reservation(request, reservation_id)
        if answer.reason:
            raise CallerError(
                f"The reservation {reservation_id!r} is not there: {answer.reason}.",
                hint="`talka reserve list` shows those that are.",
            )

    async def _reservation(
        self, request: ReserveResources | EndReservation, reservation_id: str
    ) -> ReservationAnswered:
        try:
            return await self._answers.ask(request, reservation_id, ReservationAnswered, ANSWER_S)
        except TimeoutError:
            raise ServerUnavailableError(
                f"The resource service of pool {self._pool!r} does not answer.",
                hint="Start it: talka service resource.",
            ) from None

    async def close(self) -> None:
        """Stop renewing; what is still held is freed when its lease is over."""
        if self._releasing:
            await asyncio.wait(self._releasing.values(), timeout=CLOSING_S)
        tasks = [*self._releasing.values(), *([self._renewing] if self._renewing else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._answers.close()

    # --- releasing -----------------------------------------------------------------------------

    async def _give_back(self, allocation_id: str, fence: int) -> None:
        releasing = self._begin_release(allocation_id, fence)
        await asyncio.wait([releasing], timeout=ANSWER_S)
        if not releasing.done() or releasing.cancelled():
            raise ServerUnavailableError(
                f"The resource service of pool {self._pool!r} does not answer the release of "
                f"{allocation_id!r}. It is not renewed any more.",
                hint="Start it: talka service resource. The release is repeated until this client closes.",
            )
        await releasing

    def _begin_release(self, allocation_id: str, fence: int) -> asyncio.Task[None]:
        """Renew the lease no more and release in the background; join a release that is under way."""
        self._fences.pop(allocation_id, None)
        key = (allocation_id, fence)
        if key not in self._releasing:
            earlier = [task for (id_, _), task in self._releasing.items() if id_ == allocation_id]
            task = asyncio.create_task(
                self._release(allocation_id, fence, earlier), name=f"release {allocation_id}"
            )
            self._releasing[key] = task
            task.add_done_callback(lambda _task: self._releasing.pop(key))
        return self._releasing[key]

    async def _release(self, allocation_id: str, fence: int, earlier: list[asyncio.Task[None]]) -> None:
        """Repeat a release until the pool has recorded it.

        A lease alone would not do: it is the client's, and lives as long as the client holds anything.
        """
        if earlier:
            # An answer does not say which fence it is about.
            await asyncio.wait(earlier)
        request = ReleaseAllocation(self._pool, allocation_id, Holder(client_id=self._client_id), fence)
        while True:
            try:
                await self._answers.ask(request, allocation_id, ReleaseAnswered)
            except PlatformError as error:
                log.warning("resources.release_delayed", allocation=allocation_id, error=str(error))
                await asyncio.sleep(RELEASE_AGAIN_S)
            else:
                return

    # --- renewing ------------------------------------------------------------------------------

    def _renew_from_now_on(self, allocation_id: str) -> None:
        self._fences[allocation_id] = 0
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name=f"renew {self._client_id}")

    async def _renew(self) -> None:
        subject = self._node.ports.names.heartbeat(self._pool, self._client_id)
        beat = msgspec.json.encode(Heartbeat(self._client_id))
        while True:
            if self._fences:
                try:
                    await self._node.connection.publish(subject, beat)
                except NoAnswerError as error:
                    # Too much waits to be sent after an outage; the next one will go.
                    log.debug("resources.heartbeat_not_sent", error=str(error))
            await asyncio.sleep(HEARTBEAT_S)

    async def _shortage(self, asked: RequestAllocation) -> str:
        state = await self._histories.pool(self._pool)
        return shortage(state, asked.agent_type, asked.amounts, asked.affinity)
