"""Actors of one process hand each other envelopes directly; everybody else goes through the server.

That is safe because no message between actors needs to survive its receiver:
whoever sent it repeats it until it is settled. What must survive, commits and
clients' requests, always goes through the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from talka_protocols.ports import Delivery, Inbox, Post
from talka_protocols.subjects import Names
from talka_services.jetstream.batch import take
from talka_services.loop import keep_failure
from talka_services.runner.ports import OpenInbox


class Neighbours:
    """The `Post` of one process, which knows the inboxes that are open in it."""

    def __init__(self, post: Post, open_inbox: OpenInbox, names: Names) -> None:
        self._post = post
        self._open_inbox = open_inbox
        self._names = names
        self._inboxes: dict[str, NeighbourInbox] = {}

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Hand over what stays in this process, and publish the rest, each in order.

        The neighbour that comes first has begun what it is told before the others take their turn: envelopes
        come sorted, and what a worker is to start should not wait until the pool has taken note of it.
        """
        away: list[tuple[str, bytes]] = []
        first: NeighbourInbox | None = None
        for subject, body in envelopes:
            inbox = self._inboxes.get(subject)
            if inbox is None:
                away.append((subject, body))
            else:
                first = first or inbox
                inbox.hand_over(body, is_first=inbox is first)
        if away:
            await self._post.send(away)

    async def open_inbox(self, kind: str, address: str, on_renewed: Callable[[], None]) -> Inbox:
        """Open the inbox of an address, for neighbours and for everybody else."""
        subject = self._names.inbox(kind, address)
        inbox = NeighbourInbox(await self._open_inbox(kind, address, on_renewed), subject, self._inboxes)
        self._inboxes[subject] = inbox
        return inbox


class NeighbourInbox:
    """What neighbours handed over, and what came through the server."""

    def __init__(self, outer: Inbox, subject: str, open_here: dict[str, NeighbourInbox]) -> None:
        self._outer = outer
        self._subject = subject
        self._open_here = open_here
        self._handed: deque[Delivery] = deque()
        self._received: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._receiving: asyncio.Task[Sequence[Delivery]] | None = None

    def hand_over(self, body: bytes, *, is_first: bool) -> None:
        """Take an envelope from a neighbour, and see to it at once or two turns of the loop later."""
        self._handed.append(Delivery(body))
        if is_first:
            self._wake.set()
        else:
            # An actor decides in one turn, and in the next the attempts begin that it has launched.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._wake.set)

    async def receive(self) -> Sequence[Delivery]:
        """Wait for at least one delivery, and return what is there, at most 512.

        Neighbours and everybody else share a batch, so that neither waits for the other.
        """
        while True:
            batch = self._take()
            if batch:
                return batch
            self._wake.clear()
            await self._wake.wait()

    def _take(self) -> list[Delivery]:
        if self._receiving is not None and self._receiving.done():
            self._received.extend(self._receiving.result())
            self._receiving = None
        batch = take((self._handed, self._received))
        if self._receiving is None and not self._received:
            self._receiving = asyncio.create_task(_receive(self._outer), name=f"receive {self._subject}")
            self._receiving.add_done_callback(self._on_received)
        return batch

    def _on_received(self, receiving: asyncio.Task[Sequence[Delivery]]) -> None:
        # The connection may end while the actor is busy with its last batch, and asks for nothing more.
        keep_failure(receiving)
        self._wake.set()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle those that came through the server."""
        stored = [delivery for delivery in deliveries if delivery.token is not None]
        if stored:
            await self._outer.acknowledge(stored)

    async def close(self) -> None:
        """Stop receiving; what neighbours handed over is theirs to repeat."""
        if self._open_here.get(self._subject) is self:
            del self._open_here[self._subject]
        try:
            if self._receiving is not None:
                self._receiving.cancel()
                await asyncio.wait([self._receiving])
        finally:
            await self._outer.close()


async def _receive(inbox: Inbox) -> Sequence[Delivery]:
    return await inbox.receive()
