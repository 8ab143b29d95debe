"""Goal: a worker never competes with itself for its next incarnation."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from talka_core.behaviour import Enlist
from talka_protocols.commit import decode_commit
from talka_protocols.ports import Inbox
from talka_protocols.subjects import WORKER, LogName, Names
from talka_services.executors.registry import Executors
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.ports import Ports
from talka_services.service.worker import WorkerOptions, WorkerService


class SlowLog(MemoryLog):
    """A log whose appends take a moment, as they do over a network."""

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append after a moment."""
        await asyncio.sleep(0.08)
        return await super().append(log, after, body, commit_id)


async def test_enlisting_asked_for_twice_is_done_once() -> None:
    """An enlisting that is resumed while the first is under way records one incarnation, not two."""
    log, names = SlowLog(), Names("test")
    post = MemoryPost(names)

    async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
        return post.open_inbox(kind, address, on_renewed)

    ports = Ports(log, MemorySnapshots(), post, MemoryBlobs(), MemoryLeases(), open_inbox, names, shards=1)
    options = WorkerOptions(worker_id="w1", capacity={"cpu_cores": 1.0})
    worker = WorkerService(options, Executors(), ports, cast("Any", None))
    perform: Any = vars(WorkerService)["_perform"]
    perform(worker, Enlist("w1"))
    await asyncio.sleep(0.02)
    perform(worker, Enlist("w1"))
    await asyncio.sleep(0.2)
    name = LogName(WORKER, "-", "w1")
    events = [e for item in await log.read(name) for _, _, e in decode_commit(name, item.body).events()]
    assert len(events) == 1
    assert not cast("Any", worker)._actor._is_stopping
