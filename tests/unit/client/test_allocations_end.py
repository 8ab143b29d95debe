"""However an allocation or its release ends, the client renews and leaks nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from talka_protocols.errors import ServerUnavailableError
from talka_protocols.messages import ReleaseAllocation, ReleaseAnswered, RequestAllocation
from talka_protocols.workflow import Task
from talka_services.client import answers
from talka_services.client import resources as module
from talka_services.client.resources import ResourceManager
from talka_services.jetstream.connection import NoAnswerError

TASK = Task("t", "sleep")


async def test_a_cancelled_allocation_is_given_back_and_not_renewed(
    pool: Any, resources: ResourceManager
) -> None:
    """A caller with its own time-out leaves nothing behind, and does not wait for the pool."""
    pool.is_answering = False
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await resources.allocate_resources(TASK)
    assert not resources.held
    asked = await pool.until(RequestAllocation)
    released = await pool.until(ReleaseAllocation)
    assert released.allocation_id == asked.allocation_id
    assert released.fence == 0


async def test_an_allocation_that_could_not_be_sent_is_given_back(
    pool: Any, resources: ResourceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have taken the request before it failed, so the release follows as soon as it can."""
    monkeypatch.setattr(module, "RELEASE_AGAIN_S", 0.01)
    take, failures = pool.send, iter([True, True])

    async def send(envelopes: Any) -> None:
        if next(failures, False):
            raise ServerUnavailableError("away")
        await take(envelopes)

    pool.send = send
    with pytest.raises(ServerUnavailableError, match="away"):
        await resources.allocate_resources(TASK)
    assert not resources.held
    await pool.until(ReleaseAllocation)


async def test_a_release_without_an_answer_says_so_and_goes_on(
    pool: Any, resources: ResourceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets a clear error, the lease is not renewed, and the release is repeated."""
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    monkeypatch.setattr(answers, "ASK_AGAIN_S", 0.02)
    allocation = await resources.allocate_resources(TASK)
    assert resources.held
    pool.is_answering = False
    with pytest.raises(ServerUnavailableError, match="does not answer the release"):
        await resources.release_resources(allocation)
    assert not resources.held
    before = len(pool.requests(ReleaseAllocation))
    async with asyncio.timeout(10):
        while len(pool.requests(ReleaseAllocation)) == before:
            pool.news.clear()
            await pool.news.wait()


async def test_an_unanswered_time_out_is_the_services_fault(
    pool: Any, resources: ResourceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even the withdrawal is answered, nothing can be said about what is short."""
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    pool.is_answering = False
    with pytest.raises(ServerUnavailableError):
        await resources.allocate_resources(replace(TASK, timeout=0.05))
    assert not resources.held


async def test_releasing_twice_at_once_is_one_release(pool: Any, resources: ResourceManager) -> None:
    """Both callers return with the one answer, however few answers come."""
    allocation = await resources.allocate_resources(TASK)
    pool.is_answering = False
    both = [asyncio.create_task(resources.release_resources(allocation)) for _ in range(2)]
    request = await pool.until(ReleaseAllocation)
    await pool.tell(ReleaseAnswered("client-1", request.allocation_id))
    await asyncio.wait_for(asyncio.gather(*both), 5)
    assert len(pool.requests(ReleaseAllocation)) == 1


async def test_a_cancelled_release_goes_on(pool: Any, resources: ResourceManager) -> None:
    """Whoever gives up waiting does not take the release back from the other."""
    allocation = await resources.allocate_resources(TASK)
    pool.is_answering = False
    first = asyncio.create_task(resources.release_resources(allocation))
    second = asyncio.create_task(resources.release_resources(allocation))
    await pool.until(ReleaseAllocation)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    pool.is_answering = True
    await asyncio.wait_for(second, 5)


async def test_an_old_fence_releases_nothing(pool: Any, resources: ResourceManager) -> None:
    """The allocation stays held and renewed, and the true release is not taken for the old one."""
    allocation = await resources.allocate_resources(TASK)
    old = replace(allocation, fence=allocation.fence - 1)
    await resources.release_resources(old)
    assert resources.held == {allocation.allocation_id}
    await asyncio.gather(resources.release_resources(old), resources.release_resources(allocation))
    assert not resources.held
    assert [request.fence for request in pool.requests(ReleaseAllocation)] == [allocation.fence]


async def test_releases_of_one_id_with_other_fences_take_turns(pool: Any, resources: ResourceManager) -> None:
    """An answer names no fence, so that it must not reach the release of another one."""
    allocation = await resources.allocate_resources(TASK)
    await resources.release_resources(allocation)
    pool.is_answering = False
    pool.asked.clear()
    fences = (3, 5)
    releases = [
        asyncio.create_task(resources.release_resources(replace(allocation, fence=fence))) for fence in fences
    ]
    first = await pool.until(ReleaseAllocation)
    pool.is_answering = True
    await pool.answer(first)
    await asyncio.wait_for(asyncio.gather(*releases), 5)
    assert [request.fence for request in pool.requests(ReleaseAllocation)] == list(fences)


async def test_two_first_allocations_at_once_listen_once(pool: Any, resources: ResourceManager) -> None:
    """A client listens for answers once, however many ask at the same time."""
    await asyncio.gather(*(resources.allocate_resources(Task(name, "sleep")) for name in ("a", "b")))
    assert len(pool.listening) == 1
    assert len(resources.held) == 2


async def test_a_heartbeat_that_cannot_be_sent_is_not_the_last(
    pool: Any, resources: ResourceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full buffer during an outage costs heartbeats, but never the renewal itself."""
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    beats: list[str] = []
    enough = asyncio.Event()

    async def publish(subject: str, _body: bytes) -> None:
        beats.append(subject)
        if len(beats) > 1:
            enough.set()
        raise NoAnswerError("the buffer is full")

    pool.connection.publish = publish
    await resources.allocate_resources(TASK)
    await asyncio.wait_for(enough.wait(), 5)
