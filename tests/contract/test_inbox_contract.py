"""What every `Inbox` and `Post` promise, run over every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.contract.mail import Mail, jetstream, memory, simulated

from talka_chaos import ports
from talka_protocols.ports import Delivery, Inbox
from talka_protocols.subjects import Names
from talka_services.jetstream import inbox as jetstream_inbox
from talka_services.jetstream.api import SECOND_NS
from talka_services.jetstream.connection import Connection

ACK_WAIT_S = 2
SETTLED = (b"0", b"1")


@pytest.fixture(params=["memory", "simulated", "jetstream"])
async def mail(
    request: pytest.FixtureRequest, connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Mail]:
    """Each implementation in turn; inboxes that a test opened are closed after it."""
    monkeypatch.setattr(ports, "REDELIVERY_S", 0.1)
    opened: list[Inbox] = []
    if request.param == "memory":
        yield memory(names, opened)
    elif request.param == "simulated":
        yield simulated(names, opened)
    else:
        yield jetstream(names, opened, connection)
    for inbox in opened:
        await inbox.close()


async def receive(inbox: Inbox, count: int) -> list[Delivery]:
    """Receive exactly so many deliveries."""
    deliveries: list[Delivery] = []
    while len(deliveries) < count:
        deliveries.extend(await asyncio.wait_for(inbox.receive(), 20))
    assert len(deliveries) == count
    return deliveries


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    """Return what was delivered."""
    return [delivery.body for delivery in deliveries]


async def test_inbox_delivers_in_order(mail: Mail) -> None:
    """What was sent to one subject arrives once, in the order it was sent."""
    inbox = await mail.open("1")
    sent = [b"%d" % number for number in range(2500)]
    await mail.post.send([(mail.names.inbox("shard", "1"), body) for body in sent])
    assert bodies(await receive(inbox, len(sent))) == sent


async def test_inbox_takes_from_both_subjects(mail: Mail) -> None:
    """An address receives what actors and what clients send to it."""
    await mail.post.send([(mail.names.inbox("shard", "1"), b"a"), (mail.names.requests("shard", "1"), b"r")])
    inbox = await mail.open("1")
    assert sorted(bodies(await receive(inbox, 2))) == [b"a", b"r"]


async def test_inbox_gets_nothing_of_others(mail: Mail) -> None:
    """An address receives only its own envelopes."""
    inbox, other = await mail.open("1"), await mail.open("11")
    await mail.post.send(
        [(mail.names.inbox("shard", "11"), b"other"), (mail.names.inbox("shard", "1"), b"own")]
    )
    assert bodies(await receive(inbox, 1)) == [b"own"]
    assert bodies(await receive(other, 1)) == [b"other"]


async def test_new_owner_gets_what_was_not_acknowledged(mail: Mail) -> None:
    """A takeover loses nothing, repeats nothing that was settled, and starves the old owner."""
    old = await mail.open("1")
    subject = mail.names.inbox("shard", "1")
    await mail.post.send([(subject, b"%d" % number) for number in range(5)])
    deliveries = await receive(old, 5)
    await old.acknowledge(deliveries[:3])
    # The next envelope was delivered behind the acknowledgement, so the server has seen it.
    await mail.post.send([(subject, b"5")])
    await receive(old, 1)
    new = await mail.open("1")
    assert bodies(await receive(new, 3)) == [b"3", b"4", b"5"]
    await mail.post.send([(subject, b"6")])
    assert bodies(await receive(new, 1)) == [b"6"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(old.receive(), 0.2)


async def test_closed_inbox_leaves_the_rest_to_the_next_owner(mail: Mail) -> None:
    """After a graceful close the next owner starts right behind what was acknowledged."""
    first = await mail.open("1")
    subject = mail.names.requests("shard", "1")
    await mail.post.send([(subject, b"0"), (subject, b"1")])
    deliveries = await receive(first, 2)
    await first.acknowledge(deliveries[:1])
    await first.close()
    mail.opened.remove(first)
    second = await mail.open("1")
    assert bodies(await receive(second, 1)) == [b"1"]


async def test_acknowledging_settles_everything_earlier(mail: Mail) -> None:
    """Acknowledging the newest delivery settles all before it, and one of nothing does nothing."""
    first = await mail.open("1")
    subject = mail.names.inbox("shard", "1")
    await mail.post.send([(subject, b"%d" % number) for number in range(4)])
    deliveries = await receive(first, 4)
    await first.acknowledge([])
    await first.acknowledge(deliveries[2:3])
    await first.close()
    mail.opened.remove(first)
    assert bodies(await receive(await mail.open("1"), 1)) == [b"3"]


async def test_neither_subject_waits_for_the_other_to_be_empty(mail: Mail) -> None:
    """However much lies in one subject, the first deliveries hold something of the other; both keep order."""
    messages, requests = (
        [b"m%d" % number for number in range(1200)],
        [b"r%d" % number for number in range(1200)],
    )
    for one, other in ((messages, requests[:3]), (messages[:3], requests)):
        address = one[0].decode() + str(len(one))
        await mail.post.send([(mail.names.inbox("shard", address), body) for body in one])
        await mail.post.send([(mail.names.requests("shard", address), body) for body in other])
        inbox = await mail.open(address)
        await mail.delivered()
        got: list[list[bytes]] = []
        while sum(map(len, got)) < len(one) + len(other):
            deliveries = list(await asyncio.wait_for(inbox.receive(), 20))
            await inbox.acknowledge(deliveries)
            got.append(bodies(deliveries))
        arrived = [body for batch in got for body in batch]
        assert [body for body in arrived if body.startswith(b"m")] == one
        assert [body for body in arrived if body.startswith(b"r")] == other
        assert {body[:1] for body in got[0]} == {b"m", b"r"}


async def test_a_batch_is_bounded(mail: Mail) -> None:
    """What one actor is given at once does not grow with what waits, in whichever subject it is."""
    for subject in (mail.names.inbox("shard", "1"), mail.names.requests("shard", "1")):
        await mail.post.send([(subject, b"%d" % number) for number in range(700)])
    inbox = await mail.open("1")
    await mail.delivered()
    sizes: list[int] = []
    while sum(sizes) < 1400:
        sizes.append(len(await asyncio.wait_for(inbox.receive(), 20)))
    assert max(sizes) <= 512


async def _until(inbox: Inbox, last: bytes) -> list[bytes]:
    """Receive until an envelope has come, and return all that did."""
    got: list[bytes] = []
    while last not in got:
        got += bodies(list(await asyncio.wait_for(inbox.receive(), 20)))
    return got


async def test_what_is_not_settled_in_time_comes_again(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost acknowledgement means that all behind the last one comes again, in order, and nothing else."""
    monkeypatch.setitem(jetstream_inbox.SETTINGS, "ack_wait", ACK_WAIT_S * SECOND_NS)
    inbox, subject = await mail.open("1"), mail.names.inbox("shard", "1")
    await mail.post.send([(subject, b"%d" % number) for number in range(5)])
    deliveries: list[Delivery] = []
    while len(deliveries) < 5:
        deliveries += await asyncio.wait_for(inbox.receive(), 20)
    assert bodies(deliveries[:5]) == [b"0", b"1", b"2", b"3", b"4"]
    await inbox.acknowledge(deliveries[:2])
    await mail.lose_answer(inbox, deliveries[2:5])
    again = [each for each in deliveries[5:] if each.body not in SETTLED]
    while len(again) < 3:
        # On a slow machine the first ones may have been on their way again before they were settled.
        again += [each for each in await asyncio.wait_for(inbox.receive(), 20) if each.body not in SETTLED]
    assert bodies(again[:3]) == [b"2", b"3", b"4"]
    await inbox.acknowledge(again)
    await mail.post.send([(subject, b"5")])
    assert set(await _until(inbox, b"5")) <= {*SETTLED, b"2", b"3", b"4", b"5"}
    assert await _until(await mail.open("1"), b"5") == [b"5"]


async def test_what_is_sent_twice_arrives_twice(mail: Mail) -> None:
    """Nobody takes two envelopes for one because they are alike: that is what ids inside are for."""
    inbox = await mail.open("1")
    for subject in (mail.names.inbox("shard", "1"), mail.names.requests("shard", "1")):
        await mail.post.send([(subject, b"same"), (subject, b"same")])
        await mail.post.send([(subject, b"same")])
    assert bodies(await receive(inbox, 6)) == [b"same"] * 6


async def test_a_late_acknowledgement_settles_nothing_that_was_not_in_it(mail: Mail) -> None:
    """An owner that is none any more may settle what it has taken, and nothing behind that."""
    old, subject = await mail.open("1"), mail.names.requests("shard", "1")
    await mail.post.send([(subject, b"%d" % number) for number in range(5)])
    deliveries = await receive(old, 5)
    new = await mail.open("1")
    await receive(new, 5)
    await old.acknowledge(deliveries[:3])
    await mail.post.send([(subject, b"5")])
    await _until(new, b"5")
    got = await _until(await mail.open("1"), b"5")
    assert got in ([b"%d" % number for number in range(first, 6)] for first in (0, 3))


async def test_what_lay_in_memory_may_be_lost_and_its_owner_is_told(mail: Mail) -> None:
    """Only actors' messages are: what clients ask is on file. And what is sent from then on arrives."""
    message, request = mail.names.inbox("shard", "1"), mail.names.requests("shard", "1")
    inbox = await mail.open("1")
    await mail.post.send([(message, b"lost"), (request, b"asked")])
    await mail.delivered()
    await mail.lose_memory()
    await asyncio.wait_for(mail.renewed.wait(), 30)
    await mail.post.send([(message, b"sent later")])
    got: set[bytes] = set()
    while not {b"asked", b"sent later"} <= got:
        got.update(bodies(list(await asyncio.wait_for(inbox.receive(), 20))))
    assert got <= {b"lost", b"asked", b"sent later"}
