"""Goal: no message, however broken, stops the others of its shard.

Method: a scheduler over ports in memory gets the bad message together with good ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from talka_core.behaviour import Send, stepping
from talka_core.scheduler import SCHEDULER
from talka_protocols.messages import (
    CancelExecution,
    CancelTask,
    ExecutionRecorded,
    Letter,
    Message,
    Recipient,
    ReleaseAllocation,
    StartExecution,
    decode_envelope,
    encode_letter,
    sealed_letters,
)
from talka_protocols.ports import Inbox, StoredCommit
from talka_protocols.subjects import EXECUTION, LogName, Names
from talka_protocols.workflow import ClaimCheck, Task, Workflow
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.actor import Actor, Address
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal
from talka_services.runner.mail import Sorter
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster

NAMES = Names("test")
INBOX = NAMES.inbox("scheduler", "0")
DEAD = NAMES.dead_letter("scheduler", "0")
WORKFLOW = Workflow("w", "w", (Task("a", "work"),))


class Platform:
    """A scheduler's shard over ports in memory."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.post = MemoryPost(NAMES)
        self.ports = Ports(
            self.log,
            MemorySnapshots(),
            self.post,
            MemoryBlobs(),
            MemoryLeases(),
            self._open_inbox,
            NAMES,
            shards=1,
        )

    async def _open_inbox(self, kind: str, address: str, on_renewed: Any) -> Inbox:
        return self.post.open_inbox(kind, address, on_renewed)

    async def say(self, *messages: Message) -> None:
        """Send messages in one envelope."""
        letters = [encode_letter(Letter(f"test:{i}", message)) for i, message in enumerate(messages)]
        await self.post.send([(INBOX, sealed_letters("test", 0, letters))])

    async def begun(self, execution_id: str) -> None:
        """Return when an execution has its log."""
        async with asyncio.timeout(10):
            async for _ in self.log.follow(LogName(EXECUTION, "0", execution_id)):
                return

    def dead(self) -> list[bytes]:
        """Return what was set aside."""
        return [delivery.body for delivery in self.post.mailbox(DEAD).unsettled]


@asynccontextmanager
async def scheduler() -> AsyncGenerator[Platform]:
    """Run one scheduler shard."""
    platform = Platform()
    lease = await platform.ports.leases.acquire("scheduler.0", "test")
    journal = StoredJournal(EXECUTION, "0", platform.ports, Definitions(platform.ports.blobs))
    roster = Roster("scheduler", "0", platform.ports, lease.epoch)
    actor = Actor(
        SCHEDULER,
        Address(Recipient.SCHEDULER, "0"),
        platform.ports,
        journal,
        lease=lease,
        roster=roster,
    )
    running = asyncio.create_task(actor.run())
    yield platform
    actor.stop()
    await running


async def test_missing_definition_sets_one_message_aside() -> None:
    """A handed-over workflow whose stored definition is gone stops no other execution."""
    gone = ClaimCheck("gone", 10, "gone")
    async with scheduler() as platform:
        await platform.say(StartExecution("bad", definition=gone), StartExecution("good", WORKFLOW))
        await platform.begun("good")
    assert [b'"bad"' in body for body in platform.dead()] == [True]


async def test_unreadable_envelope_is_kept_and_stops_nobody() -> None:
    """What this version cannot read is set aside whole."""
    async with scheduler() as platform:
        await platform.post.send([(INBOX, b'{"parcels":[["x",0,[["i",{"type":"Unheard"}]]]]}')])
        await platform.post.send([(INBOX, b"[" * 5_000 + b"]" * 5_000)])
        await platform.post.send([(INBOX, b'{"parcels":[["\xe3(",0,[]]]}')])
        await platform.say(StartExecution("good", WORKFLOW))
        await platform.begun("good")
    assert len(platform.dead()) == 3


class NamedLog(MemoryLog):
    """Finds its logs by subjects, as the one of a server does."""

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits on the log's subject."""
        assert NAMES.log(log)
        return await super().read(log, after)


async def test_message_for_many_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to an inbox reaches one log by one letter."""
    monkeypatch.setattr("tests.unit.runner.test_bad_mail.MemoryLog", NamedLog)
    async with scheduler() as platform:
        await platform.say(CancelExecution("*"), CancelExecution(">"), StartExecution("good", WORKFLOW))
        await platform.begun("good")
        assert await platform.log.names(EXECUTION) == [LogName(EXECUTION, "0", "good")]


async def test_message_that_crashes_its_actor_is_set_aside_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is redone one message at a time; the guilty one is kept, however often it comes."""

    def planted(behaviour: Any, state: Any, message: Any, *about: Any) -> Any:
        assert not isinstance(message, CancelExecution), "planted"
        return stepping(behaviour, state, message, *about)

    monkeypatch.setattr("talka_services.runner.states.stepping", planted)
    async with scheduler() as platform:
        for name in ("one", "two"):
            await platform.say(CancelExecution("good"), StartExecution(name, WORKFLOW))
            await platform.begun(name)
    assert len(platform.dead()) == 1
    assert b"planted" in platform.dead()[0]


async def test_oversized_letter_is_left_out_and_the_others_go() -> None:
    """A letter over the server's limit must not take down the whole outbox."""
    sorter = Sorter(NAMES, 1, max_bytes=2_000, payload_bytes=4_000)
    huge = StartExecution("e", replace_name(WORKFLOW, "x" * 5_000))
    odd = CancelExecution("e", "\udcff")
    small: list[Message] = [StartExecution(f"e{i}", WORKFLOW) for i in range(30)]
    messages: list[Message] = [huge, odd, *small]
    sends = [(str(i), Send(Recipient.SCHEDULER, message)) for i, message in enumerate(messages)]
    envelopes = sorter.envelopes("test", 1, sends)
    found = [
        letter.message
        for _, body in envelopes
        for parcel in decode_envelope(body).parcels
        for letter in parcel.letters
    ]
    assert found == small
    assert len(envelopes) > 1
    assert all(len(body) <= 2_000 for _, body in envelopes)


def test_inbox_that_gets_only_notices_is_served_last() -> None:
    """Who only learns of something must not be in the way of those who are asked to do something."""
    sorter = Sorter(NAMES, 1, max_bytes=2_000, payload_bytes=4_000)
    sends = [
        ("0", Send(Recipient.PLANNER, ExecutionRecorded("e"), notice=True)),
        ("1", Send(Recipient.SCHEDULER, CancelExecution("e"), notice=True)),
        ("2", Send(Recipient.SCHEDULER, StartExecution("e", WORKFLOW))),
    ]
    subjects = [subject for subject, _ in sorter.envelopes("test", 1, sends)]
    assert subjects == [NAMES.inbox("scheduler", "0"), NAMES.inbox("planner", "0")]


def test_who_starts_something_is_served_first() -> None:
    """What others have to record about it may wait until it runs."""
    sorter = Sorter(NAMES, 1, max_bytes=2_000, payload_bytes=4_000)
    sends = [
        ("0", Send(Recipient.RESOURCE, ReleaseAllocation("default", "a"))),
        ("1", Send(Recipient.WORKER, CancelTask("w", "e", "t", 1))),
    ]
    subjects = [subject for subject, _ in sorter.envelopes("test", 1, sends)]
    assert subjects == [NAMES.inbox("worker", "w"), NAMES.inbox("resource", "default")]


def replace_name(workflow: Workflow, name: str) -> Workflow:
    """Return the workflow under another name."""
    return Workflow(workflow.id, name, workflow.tasks)
