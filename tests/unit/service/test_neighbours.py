"""Envelopes between actors of one process take the short way; all others go through the post."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence

from talka_protocols.errors import PlatformError
from talka_protocols.ports import Delivery, Inbox
from talka_protocols.subjects import Names
from talka_services.memory.post import MemoryInbox, MemoryPost
from talka_services.service.neighbours import Neighbours

NAMES = Names("test")


def neighbours(post: MemoryPost) -> Neighbours:
    """Return the neighbours of one process around an office that others use too."""

    async def open_inbox(kind: str, address: str, on_renewed: object) -> object:
        del on_renewed
        return post.open_inbox(kind, address)

    return Neighbours(post, open_inbox, NAMES)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_an_envelope_for_a_neighbour_never_reaches_the_post() -> None:
    """What is handed over needs no acknowledgement, and leaves nothing behind."""
    post = MemoryPost(NAMES)
    here = neighbours(post)
    inbox = await here.open_inbox("worker", "w1", lambda: None)
    await here.send([(NAMES.inbox("worker", "w1"), b"one"), (NAMES.inbox("worker", "w1"), b"two")])
    deliveries = await inbox.receive()
    assert [delivery.body for delivery in deliveries] == [b"one", b"two"]
    await inbox.acknowledge(deliveries)
    assert not post.mailbox(NAMES.inbox("worker", "w1")).unsettled
    await inbox.close()


async def test_what_comes_through_the_server_is_received_and_acknowledged() -> None:
    """The outer inbox is served too, and only its deliveries are acknowledged."""
    post = MemoryPost(NAMES)
    here = neighbours(post)
    inbox = await here.open_inbox("worker", "w1", lambda: None)
    receiving = asyncio.ensure_future(inbox.receive())
    await post.send([(NAMES.inbox("worker", "w1"), b"from afar")])
    deliveries = await receiving
    assert [delivery.body for delivery in deliveries] == [b"from afar"]
    await here.send([(NAMES.inbox("worker", "w1"), b"from here")])
    await inbox.acknowledge([*deliveries, *(await inbox.receive())])
    assert not post.mailbox(NAMES.inbox("worker", "w1")).unsettled
    await inbox.close()


async def test_a_closed_inbox_is_no_neighbour_any_more() -> None:
    """After an actor has gone, its envelopes go through the server to whoever follows it."""
    post = MemoryPost(NAMES)
    here = neighbours(post)
    inbox = await here.open_inbox("worker", "w1", lambda: None)
    await inbox.close()
    await here.send([(NAMES.inbox("worker", "w1"), b"later")])
    assert [delivery.body for delivery in post.mailbox(NAMES.inbox("worker", "w1")).unsettled] == [b"later"]


async def test_neighbours_and_others_share_a_bounded_batch() -> None:
    """However much neighbours hand over, a batch is bounded, and what came from afar is soon in one."""
    post = MemoryPost(NAMES)
    here = neighbours(post)
    inbox = await here.open_inbox("worker", "w1", lambda: None)
    receiving = asyncio.ensure_future(inbox.receive())
    await asyncio.sleep(0)
    subject = NAMES.inbox("worker", "w1")
    sent = [b"%d" % number for number in range(2000)]
    await here.send([(subject, body) for body in sent])
    await post.send([(subject, b"from afar %d" % number) for number in range(2000)])
    batches = [await receiving]
    while sum(map(len, batches)) < 4000:
        batches.append(await inbox.receive())
        await inbox.acknowledge(batches[-1])
        # An actor starts each call in a task of its own.
        await asyncio.sleep(0)
    assert max(map(len, batches)) <= 512
    arrived = [delivery.body for batch in batches for delivery in batch]
    assert [body for body in arrived if not body.startswith(b"from")] == sent
    assert next(index for index, body in enumerate(arrived) if body.startswith(b"from")) <= 1024
    assert not post.mailbox(subject).unsettled
    await inbox.close()


async def test_what_the_first_neighbour_launches_begins_before_the_others_look() -> None:
    """An attempt does not wait until the pool, which is told of it at the same time, has decided."""
    here, seen = neighbours(MemoryPost(NAMES)), list[str]()
    worker = await here.open_inbox("worker", "w1", lambda: None)
    pool = await here.open_inbox("resource", "default", lambda: None)

    async def attempt() -> None:
        seen.append("the attempt begins")

    async def work() -> None:
        await asyncio.create_task(worker.receive())
        await asyncio.create_task(attempt())

    async def grant() -> None:
        await asyncio.create_task(pool.receive())
        seen.append("the pool looks")

    # The pool waits first, so it would be the first to be woken.
    granting, working = asyncio.create_task(grant()), asyncio.create_task(work())
    for _ in range(3):
        await asyncio.sleep(0)
    await here.send([(NAMES.inbox("worker", "w1"), b"start"), (NAMES.inbox("resource", "default"), b"told")])
    await asyncio.gather(granting, working)
    assert seen == ["the attempt begins", "the pool looks"]
    await worker.close()
    await pool.close()


class Ending(MemoryInbox):
    """An inbox whose connection ends when ``over`` is set."""

    def __init__(self, over: asyncio.Event) -> None:
        super().__init__([])
        self.over = over

    async def receive(self) -> Sequence[Delivery]:
        """Wait for the end."""
        await self.over.wait()
        raise PlatformError("The inbox receives nothing more.")


async def test_a_failure_that_nobody_asks_for_any_more_is_no_complaint() -> None:
    """The connection ends while an actor is busy with its last batch; asyncio said so with a traceback."""
    over, complaints = asyncio.Event(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: complaints.append(told["message"]))

    async def open_inbox(kind: str, address: str, on_renewed: Callable[[], None]) -> Inbox:
        del kind, address, on_renewed
        return Ending(over)

    here = Neighbours(MemoryPost(NAMES), open_inbox, NAMES)
    inbox = await here.open_inbox("worker", "w1", lambda: None)
    receiving = asyncio.create_task(inbox.receive())
    await asyncio.sleep(0)
    receiving.cancel()
    over.set()
    for _ in range(5):
        await asyncio.sleep(0)
    del here, inbox, receiving
    gc.collect()
    assert complaints == []


class Lingering(MemoryInbox):
    """An inbox whose last `receive` takes its time to end."""

    is_closed = False

    async def receive(self) -> Sequence[Delivery]:
        """Wait for ever."""
        try:
            return await super().receive()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            raise

    async def close(self) -> None:
        """Take note."""
        self.is_closed = True


async def test_an_inbox_is_closed_also_by_whoever_has_no_more_patience() -> None:
    """A process told to stop gives up what takes too long; an inbox left open would go on receiving."""
    outer = Lingering([])

    async def open_inbox(kind: str, address: str, on_renewed: Callable[[], None]) -> Inbox:
        del kind, address, on_renewed
        return outer

    inbox = await Neighbours(MemoryPost(NAMES), open_inbox, NAMES).open_inbox("worker", "w1", lambda: None)
    receiving = asyncio.create_task(inbox.receive())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    receiving.cancel()
    closing = asyncio.create_task(inbox.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([receiving, closing])
    assert outer.is_closed
