"""Asking a pool for resources directly, without running a task."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TypeVar
from uuid import uuid4

import msgspec
from msgspec import Struct

from talka_core.resource.placement import shortage
from talka_core.status import inventory_of
from talka_protocols.errors import ResourcesUnavailable, ServerUnavailableError
from talka_protocols.events import Holder
from talka_protocols.messages import (
    AllocationAnswered,
    Message,
    Recipient,
    ReleaseAllocation,
    ReleaseAnswered,
    RequestAllocation,
    ReservationAnswered,
    ReserveResources,
    decode_envelope,
    sealed,
)
from talka_protocols.workflow import (
    DEFAULT_TIMEOUT_S,
    ReservationId,
    ResourceAllocation,
    ResourceInventory,
    ResourceRequirements,
    Task,
)
from talka_services.client.histories import Histories
from talka_services.jetstream.connection import Message as Wired
from talka_services.jetstream.connection import Subscription
from talka_services.service.liveness import HEARTBEAT, HEARTBEAT_S, Heartbeat
from talka_services.service.node import Node

ASK_AGAIN_S = 0.5
ANSWER_S = 10.0
RESERVED_S = 60.0

Answer = AllocationAnswered | ReleaseAnswered | ReservationAnswered
A = TypeVar("A", bound=Struct)


class ResourceManager:
    """Allocations and reservations held by this client; they end when it stops renewing them."""

    def __init__(self, node: Node, histories: Histories, client_id: str, pool: str = "default") -> None:
        self._node = node
        self._histories = histories
        self._client_id = client_id
        self._pool = pool
        self._letters = count(1)
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._held: set[str] = set()
        self._subscription: Subscription | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def allocate_resources(self, task: Task) -> ResourceAllocation:
        """Hold what a task requires until it is released, waiting up to the task's time-out.

        The lease is renewed in the background for as long as this client lives.

        Raises:
            ResourcesUnavailable: it did not become free in time; names the short resource.
        """
        allocation_id = f"{self._client_id}/{task.id}/{uuid4().hex[:8]}"
        amounts = task.resources.amounts()
        holder = Holder(task_id=task.id, client_id=self._client_id)
        reservation = task.labels.get("reservation", "")
        request = RequestAllocation(
            self._pool, allocation_id, holder, task.agent_type, amounts, (-float(task.priority),), reservation
        )
        self._held.add(allocation_id)
        limit_s = DEFAULT_TIMEOUT_S if task.timeout is None else task.timeout
        try:
            answer = await self._ask(request, allocation_id, AllocationAnswered, limit_s)
        except TimeoutError:
            await self._give_back(allocation_id, 0)
            reason = await self._shortage(task.agent_type, amounts)
            raise ResourcesUnavailable(
                f"Nothing was free for task {task.id!r} within {limit_s:g} s. {reason}",
                hint="Ask for less, wait longer, or add workers.",
            ) from None
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
        """Give an allocation back; twice, or with an old fence, changes nothing."""
        await self._give_back(allocation.allocation_id, allocation.fence)

    async def get_available_resources(self) -> ResourceInventory:
        """Return what the pool offers now."""
        return inventory_of(await self._histories.pool(self._pool))

    async def reserve_resources(
        self, requirements: ResourceRequirements, *, seconds: float = RESERVED_S
    ) -> ReservationId:
        """Keep amounts free on one worker for a time, for a task labelled ``reservation: <id>``.

        Raises:
            ResourcesUnavailable: no worker has them free now; names the short resource.
        """
        reservation_id = f"{self._client_id}-{uuid4().hex[:8]}"
        request = ReserveResources(
            self._pool, reservation_id, self._client_id, requirements.amounts(), ttl_ms=int(seconds * 1000)
        )
        try:
            answer = await self._ask(request, reservation_id, ReservationAnswered, ANSWER_S)
        except TimeoutError:
            raise ServerUnavailableError(
                f"The resource service of pool {self._pool!r} does not answer.",
                hint="Start it: talka service resource.",
            ) from None
        if answer.reason:
            raise ResourcesUnavailable(f"The reservation was refused. {answer.reason}")
        return ReservationId(reservation_id, self._pool, answer.expires_at / 1000)

    async def close(self) -> None:
        """Stop renewing; what is still held is freed when its lease is over."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        if self._subscription is not None and not self._node.connection.wire.is_closed:
            await self._subscription.unsubscribe()

    async def _give_back(self, allocation_id: str, fence: int) -> None:
        holder = Holder(client_id=self._client_id)
        request = ReleaseAllocation(self._pool, allocation_id, holder, fence)
        await self._ask(request, allocation_id, ReleaseAnswered, ANSWER_S)
        self._held.discard(allocation_id)

    async def _ask(self, request: Message, answer_to: str, kind: type[A], limit_s: float) -> A:
        """Send a request again and again until it is answered.

        Raises:
            TimeoutError: there was no answer in time.
        """
        await self._listen()
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[answer_to] = waiting
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    await self._send(request)
                    done, _ = await asyncio.wait([waiting], timeout=ASK_AGAIN_S)
                    if done:
                        answer = waiting.result()
                        if isinstance(answer, kind):
                            return answer
                        waiting = asyncio.get_running_loop().create_future()
                        self._waiting[answer_to] = waiting
        finally:
            self._waiting.pop(answer_to, None)

    async def _send(self, request: Message) -> None:
        body = sealed(self._client_id, request, letter_id=f"{self._client_id}:r{next(self._letters)}")
        subject = self._node.ports.names.inbox(Recipient.RESOURCE.value, self._pool)
        await self._node.ports.post.send([(subject, body)])

    async def _listen(self) -> None:
        if self._subscription is None:
            subject = self._node.ports.names.inbox(Recipient.CLIENT.value, self._client_id)
            self._subscription = await self._node.connection.wire.subscribe(subject, cb=self._arrived)
            self._renewing = asyncio.create_task(self._renew(), name=f"renew {self._client_id}")

    async def _arrived(self, message: Wired) -> None:
        for parcel in decode_envelope(message.data).parcels:
            for letter in parcel.letters:
                answer = letter.message
                if isinstance(answer, AllocationAnswered | ReleaseAnswered):
                    self._resolve(answer.allocation_id, answer)
                elif isinstance(answer, ReservationAnswered):
                    self._resolve(answer.reservation_id, answer)

    def _resolve(self, answer_to: str, answer: Answer) -> None:
        waiting = self._waiting.get(answer_to)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _renew(self) -> None:
        subject = self._node.ports.names.live(HEARTBEAT, self._pool)
        while True:
            if self._held:
                await self._node.connection.publish(subject, msgspec.json.encode(Heartbeat(self._client_id)))
            await asyncio.sleep(HEARTBEAT_S)

    async def _shortage(self, agent_type: str, amounts: dict[str, float]) -> str:
        return shortage(await self._histories.pool(self._pool), agent_type, amounts)
