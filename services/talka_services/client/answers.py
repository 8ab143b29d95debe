"""Asks a pool again and again until it answers, and hands each answer to whoever waits for it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TypeVar, cast

from msgspec import Struct

from talka_protocols.messages import (
    AllocationAnswered,
    ClientMessage,
    Message,
    Recipient,
    ReleaseAnswered,
    ReservationAnswered,
    decode_envelope,
    sealed,
)
from talka_services.client.asking import asker
from talka_services.jetstream.connection import Message as Wired
from talka_services.jetstream.connection import Subscription
from talka_services.service.node import Node

ASK_AGAIN_S = 0.5
ASK_AGAIN_MOST_S = 2.0

A = TypeVar("A", bound=Struct)


class Answers:
    """The answers of one pool to one client; at most one question of a kind about an id at a time."""

    def __init__(self, node: Node, client_id: str, pool: str) -> None:
        self._node = node
        self._client_id = client_id
        self._pool = pool
        self._letters = count(1)
        self._waiting: dict[tuple[type[Struct], str], asyncio.Future[ClientMessage]] = {}
        self._subscribing = asyncio.Lock()
        self._subscription: Subscription | None = None

    async def ask(self, request: Message, about: str, kind: type[A], limit_s: float | None = None) -> A:
        """Send a request until it is answered, ever more slowly; neither may arrive, so both may repeat.

        Args:
            request: what the pool is asked; asking twice must do no harm.
            about: the allocation or reservation that the answer names.
            kind: the type of the answer.
            limit_s: how long to ask, without end if None.

        Raises:
            TimeoutError: there was no answer in time.
            ServerUnavailableError: the request could not be sent.
        """
        waiting: asyncio.Future[ClientMessage] = asyncio.get_running_loop().create_future()
        self._waiting[kind, about] = waiting
        pause_s = ASK_AGAIN_S
        try:
            async with asyncio.timeout(limit_s):
                await self._listen()
                while not waiting.done():
                    await self._send(request)
                    await asyncio.wait([waiting], timeout=pause_s)
                    pause_s = min(2 * pause_s, ASK_AGAIN_MOST_S)
            return cast("A", waiting.result())
        finally:
            del self._waiting[kind, about]

    async def close(self) -> None:
        """Listen no more."""
        if self._subscription is not None and not self._node.connection.wire.is_closed:
            await self._subscription.unsubscribe()

    async def _send(self, request: Message) -> None:
        letter_id = f"{self._client_id}:r{next(self._letters)}"
        body = sealed(self._client_id, request, letter_id=letter_id, asked_by=asker())
        subject = self._node.ports.names.inbox(Recipient.RESOURCE.value, self._pool)
        await self._node.ports.post.send([(subject, body)])

    async def _listen(self) -> None:
        async with self._subscribing:
            if self._subscription is None:
                subject = self._node.ports.names.answers(self._client_id)
                self._subscription = await self._node.connection.wire.subscribe(subject, cb=self._arrived)

    async def _arrived(self, message: Wired) -> None:
        for parcel in decode_envelope(message.data).parcels:
            for letter in parcel.letters:
                answer = letter.message
                if isinstance(answer, AllocationAnswered | ReleaseAnswered):
                    self._resolve(answer.allocation_id, answer)
                elif isinstance(answer, ReservationAnswered):
                    self._resolve(answer.reservation_id, answer)

    def _resolve(self, about: str, answer: ClientMessage) -> None:
        waiting = self._waiting.get((type(answer), about))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
