"""Measures the message path without a server: ``python -m tests.performance.path [TASKS [REPETITIONS]]``.

All four actors, a worker's launcher and a waiting client run in one loop over ports in memory, and
no-op tasks go from the submission to the result. It prints microseconds of processor time a task, in
all and by who used them, the least of all repetitions: unlike what is measured with a server, that
hardly depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio import events
from collections import defaultdict
from typing import Any, cast

from talka_core.behaviour import Behaviour, Launch
from talka_core.planner import PLANNER
from talka_core.resource import RESOURCE
from talka_core.scheduler import SCHEDULER
from talka_core.status import result_of
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols.messages import Enlisted, Message, Recipient, RegisterWorker, SubmitWorkflow, sealed
from talka_protocols.ports import Inbox
from talka_protocols.subjects import EXECUTION, PLAN, POOL, WORKER, Names
from talka_protocols.workflow import Workflow
from talka_services.bench import workloads
from talka_services.client.ceilings import Ceilings
from talka_services.client.histories import Histories
from talka_services.executors.registry import Executors, ExecutorSettings
from talka_services.loop import run
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.actor import Actor, Address
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal, VolatileJournal
from talka_services.runner.ports import Ports
from talka_services.service.launcher import Launcher

TYPES = ("python",)
NAMES = Names("path")
SHARDED = ((Recipient.PLANNER, PLANNER, PLAN, "0"), (Recipient.SCHEDULER, SCHEDULER, EXECUTION, "0"))
OWNED = (*SHARDED, (Recipient.RESOURCE, RESOURCE, POOL, "default"))

used: defaultdict[str, float] = defaultdict(float)
"""Seconds of processor time by whoever had the loop."""


class Platform:
    """All actors over ports in memory, and a client."""

    def __init__(self) -> None:
        post = MemoryPost(NAMES)

        async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
            return post.open_inbox(kind, address, on_renewed)

        # A busy machine must not lead to repeats.
        stores = (MemoryLog(), MemorySnapshots(), post, MemoryBlobs(), MemoryLeases())
        self.ports = ports = Ports(*stores, open_inbox, NAMES, shards=1, resend_s=600.0)
        self.actors = [self._owner(*owned) for owned in OWNED]
        executors = Executors(ExecutorSettings(allow_modules=("*",)))
        offer = RegisterWorker("default", "w", 0, TYPES, 256)
        state = VolatileJournal(WORKER, WorkerRecord("w", offer=offer))
        address = Address(Recipient.WORKER, "w")
        self.worker = Actor(WORKER_BEHAVIOUR, address, ports, state, perform=self._perform)
        self.launcher = Launcher("w", executors, ports.blobs, ports.clock, self.worker.tell)
        self.histories = Histories(ports.log, ports.blobs, 1, ports.snapshots)
        self.ceilings = Ceilings(self.histories, {"slots": 256.0}, frozenset(TYPES))

    def _owner(self, to: Recipient, behaviour: Behaviour[Any, Any, Any], kind: str, address: str) -> Actor:
        shard = "-" if to is Recipient.RESOURCE else address
        journal = StoredJournal(kind, shard, self.ports, Definitions(self.ports.blobs))
        return Actor(behaviour, Address(to, address), self.ports, journal)

    def _perform(self, effect: object) -> None:
        assert isinstance(effect, Launch), "nothing but attempts is asked for here"
        self.launcher.launch(effect.start)

    async def execute(self, execution_id: str, workflow: Workflow) -> None:
        """Submit a workflow, wait for its end, and look at every result, as a client does."""
        submission: Message = SubmitWorkflow(execution_id, await self.ceilings.check(workflow))
        envelope = sealed("client", submission, letter_id=execution_id)
        await self.ports.post.send([(NAMES.inbox(Recipient.PLANNER.value, "0"), envelope)])
        state = None
        async for current in self.histories.follow(execution_id):
            state = current
        assert state is not None
        assert all(task.is_success for task in result_of(state).tasks.values())


def _user_of(handle: events.Handle) -> str:
    task = getattr(getattr(handle, "_callback", None), "__self__", None)
    return task.get_name().rpartition("/")[0] or task.get_name() if isinstance(task, asyncio.Task) else "loop"


def _watch() -> None:
    """Have the time of everything that the loop runs counted for its task."""
    original = cast("Any", events.Handle)._run

    def counted(handle: events.Handle) -> None:
        user, began = _user_of(handle), time.thread_time()
        original(handle)
        used[user] += time.thread_time() - began

    cast("Any", events.Handle)._run = counted


async def main(size: int, repetitions: int) -> None:
    """Print the least of all repetitions."""
    platform = Platform()
    actors = [*platform.actors, platform.worker]
    running = [asyncio.create_task(actor.run(), name=actor.address.kind.value) for actor in actors]
    platform.worker.tell(Enlisted("w", 1))
    client = asyncio.current_task()
    assert client is not None
    client.set_name("client")
    _watch()
    best: dict[str, float] = {}
    for number in range(repetitions):
        workflow = workloads.fan(size)
        # What is made before the measurement is not the platform's.
        await asyncio.sleep(0)
        used.clear()
        began = time.thread_time()
        await platform.execute(f"e{number}", workflow)
        used["all"] = time.thread_time() - began
        attempts = sum(spent for user, spent in used.items() if user.startswith(f"e{number}"))
        for user in ("all", "client", *(task.get_name() for task in running), "attempts"):
            spent = attempts if user == "attempts" else used[user]
            best[user] = min(best.get(user, spent), spent)
    for user, spent in best.items():
        sys.stdout.write(f"{user:10} {spent / size * 1e6:7.1f} µs a task\n")
    for actor in actors:
        actor.stop()
    await asyncio.wait(running)
    await platform.launcher.close()


if __name__ == "__main__":
    chosen = [int(number) for number in sys.argv[1:]]
    run(main(chosen[0] if chosen else 1_000, chosen[1] if len(chosen) > 1 else 10))
