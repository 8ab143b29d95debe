"""A pool that answers clients as a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from talka_protocols.messages import (
    AllocationAnswered,
    ClientMessage,
    Message,
    ReleaseAllocation,
    ReleaseAnswered,
    RequestAllocation,
    decode_envelope,
    sealed,
)
from talka_protocols.subjects import Names
from talka_services.client import resources as module
from talka_services.client.resources import ResourceManager
from talka_services.runner.ports import SystemClock

NAMES = Names("test")


class Pool:
    """The far end of a client: keeps what was asked, and answers by hand or at once."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.news = asyncio.Event()
        self.is_answering = True
        self.listening: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self.heartbeats = 0
        self.is_closed = False
        self.connection = SimpleNamespace(wire=self, publish=self.publish)

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Take what a client sends."""
        for _subject, body in envelopes:
            for parcel in decode_envelope(body).parcels:
                for letter in parcel.letters:
                    self.asked.append(letter.message)
                    if self.is_answering:
                        await self.answer(letter.message)
        self.news.set()

    async def answer(self, message: Message) -> None:
        """Answer a request for an allocation with fence 7, or a release."""
        match message:
            case RequestAllocation():
                await self.tell(
                    AllocationAnswered(message.holder.client_id, message.allocation_id, "w1", 7, {}, 1_000)
                )
            case ReleaseAllocation():
                await self.tell(ReleaseAnswered(message.holder.client_id, message.allocation_id))
            case _:
                raise AssertionError(f"no answer to {message}")

    async def tell(self, answer: ClientMessage) -> None:
        """Send the client an answer."""
        wired = SimpleNamespace(data=sealed("pool.default", answer, letter_id="p:1"))
        for arrived in list(self.listening.values()):
            await arrived(wired)

    async def subscribe(self, subject: str, *, cb: Callable[[Any], Awaitable[None]]) -> Any:
        """Take note of a listener, as the connection does: not at once."""
        await asyncio.sleep(0)
        assert subject not in self.listening, "subscribed twice"
        self.listening[subject] = cb

        async def unsubscribe() -> None:
            del self.listening[subject]

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def publish(self, _subject: str, _body: bytes) -> None:
        """Count heartbeats."""
        self.heartbeats += 1

    def requests(self, kind: type[Message]) -> list[Any]:
        """Return the requests of one kind, repeats included."""
        return [message for message in self.asked if isinstance(message, kind)]

    async def until(self, kind: type[Message]) -> Any:
        """Wait for a request of a kind and return the first."""
        async with asyncio.timeout(10):
            while not self.requests(kind):
                self.news.clear()
                await self.news.wait()
        return self.requests(kind)[0]


@pytest.fixture
def pool() -> Pool:
    """A pool that answers everything at once."""
    return Pool()


@pytest.fixture
async def resources(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ResourceManager]:
    """A client's resources at that pool."""
    monkeypatch.setattr(module, "CLOSING_S", 0.05)
    node = SimpleNamespace(
        ports=SimpleNamespace(names=NAMES, post=pool, clock=SystemClock()), connection=pool.connection
    )
    manager = ResourceManager(cast("Any", node), cast("Any", None), "client-1")
    yield manager
    await manager.close()
