"""Goal: no log is forgotten by its shard, whatever moment its owner died at.

Method: a log is left as by a dead owner; an actor over ports in memory then gets a message.
"""

from __future__ import annotations

import asyncio
from typing import Any

from talka_core.scheduler import SCHEDULER
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision, decode_commit, encode_commit
from talka_protocols.messages import (
    Envelope,
    Letter,
    Parcel,
    Recipient,
    StartExecution,
    encode_envelope,
)
from talka_protocols.ports import Inbox
from talka_protocols.subjects import EXECUTION, SHARD, LogName, Names
from talka_protocols.workflow import Task, Workflow
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.actor import Actor, Address
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster

NAME = LogName(EXECUTION, "0", "e")


async def _events(log: MemoryLog, name: LogName) -> list[Any]:
    stored = await log.read(name)
    return [event for item in stored for _, _, event in decode_commit(name, item.body).events()]


async def test_log_that_the_roster_missed_is_adopted() -> None:
    """A half-written execution that no roster names is completed and named when a message comes again."""
    log, names = MemoryLog(), Names("test")
    post = MemoryPost(names)
    workflow = Workflow("w", "w", (Task("a", "work"),))
    begun: Commit[Any] = Commit(1, 1_000, 1, (Decision("m", (e.ExecutionAccepted(workflow),)),))
    await log.append(NAME, 0, encode_commit(begun), "first")

    async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
        return post.open_inbox(kind, address, on_renewed)

    leases = MemoryLeases()
    ports = Ports(log, MemorySnapshots(), post, MemoryBlobs(), leases, open_inbox, names, shards=1)
    lease = await leases.acquire("scheduler.0", "test")
    journal = StoredJournal(EXECUTION, "0", ports, Definitions(ports.blobs))
    roster = Roster("scheduler", "0", ports, lease.epoch)
    actor = Actor(SCHEDULER, Address(Recipient.SCHEDULER, "0"), ports, journal, lease=lease, roster=roster)
    running = asyncio.create_task(actor.run())
    letter = Letter("plan.e:1:0", StartExecution("e", workflow))
    body = encode_envelope(Envelope((Parcel("planner.0", 1, (letter,)),)))
    await post.send([(names.inbox("scheduler", "0"), body)])
    async with asyncio.timeout(10):
        async for stored in log.follow(NAME):
            commit = decode_commit(NAME, stored.body)
            if any(isinstance(event, e.TaskQueued) for _, _, event in commit.events()):
                break
    actor.stop()
    await running
    opened = await _events(log, LogName(SHARD, "0", "scheduler-0"))
    assert e.LogsOpened(("e",)) in opened
    asked = [delivery.body for delivery in post.mailbox(names.inbox("resource", "default")).unsettled]
    assert any(b"RequestAllocation" in body for body in asked)
