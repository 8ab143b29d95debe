"""Runs one whole cluster in virtual time, under the faults of one seed, and judges it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random

from msgspec import Struct

from talka_chaos.checkers import findings, unrest
from talka_chaos.graphs import random_workflow
from talka_chaos.hosts import POOL_ID, SHARDS, OwnerProcess, Process, WorkerProcess
from talka_chaos.ports import SimLeases
from talka_chaos.swarm import Faults
from talka_chaos.virtual_loop import StillnessError, run_virtually
from talka_chaos.world import World
from talka_core.status import status_of
from talka_protocols.messages import (
    CancelExecution,
    Envelope,
    Letter,
    Message,
    Parcel,
    PauseExecution,
    Recipient,
    ReleaseTask,
    ResumeExecution,
    SubmitWorkflow,
    encode_envelope,
)
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import EXECUTION, shard_of
from talka_protocols.workflow import Workflow

CALM_S = 500.0
"""How long after the last fault everything must have come to rest."""


class Report(Struct, frozen=True):
    """What became of one seed; a healthy run has no findings.

    ``overloads`` counts the attempts that began while a worker truly ran more than it offers.
    """

    seed: int
    findings: tuple[str, ...]
    digest: str
    happenings: int
    virtual_s: float
    tasks: int
    overloads: int

    @property
    def is_healthy(self) -> bool:
        """Tell whether nothing was wrong."""
        return not self.findings


def run(seed: int, workflow: Workflow | None = None, faults: Faults | None = None) -> Report:
    """Run the world of one seed, with its own workflows or the given one."""
    return run_virtually(Simulation(seed, workflow, faults).run())


class Simulation:
    """One world, its processes and its clients."""

    def __init__(self, seed: int, workflow: Workflow | None = None, faults: Faults | None = None) -> None:
        self.seed = seed
        self.world = World(seed, faults)
        random = self.world.random
        self.workflows = [workflow] if workflow else self._drawn(random)
        self._sizes = random.choice((900_000, 900_000, 6_000, 2_000)), random.choice((5_000, 50, 10))
        self._leases = SimLeases(self.world)
        self._processes = self._populate(random)
        self._requests = 0

    @staticmethod
    def _drawn(random: Random) -> list[Workflow]:
        count = random.choice((1, 1, 2, 3))
        return [random_workflow(random, f"x{i}", random.choice((1, 5, 12, 25))) for i in range(count)]

    def _populate(self, random: Random) -> list[Process]:
        places = [
            (kind, str(shard)) for kind in (Recipient.PLANNER, Recipient.SCHEDULER) for shard in range(SHARDS)
        ]
        places.append((Recipient.RESOURCE, POOL_ID))
        processes: list[Process] = [
            OwnerProcess(kind, id_, f"{kind.value}-{id_}-{copy}", self.world, self._leases, self._sizes)
            for kind, id_ in places
            for copy in "ab"
        ]
        cores = [2.0, *(random.choice((1.0, 2.0, 3.3)) for _ in range(random.randrange(3)))]
        processes += [
            WorkerProcess(f"w{i}", offered, self.world, self._leases, self._sizes)
            for i, offered in enumerate(cores)
        ]
        return processes

    async def run(self) -> Report:
        """Live through the storm, wait for rest, and judge."""
        self._submit()
        tasks = [asyncio.create_task(process.run()) for process in self._processes]
        tasks += self._misfortunes()
        complaint = ""
        try:
            await asyncio.sleep(self.world.faults.storm_s)
            self.world.is_stormy = False
            self.world.note("calm")
            complaint = await self._rest()
        except StillnessError as error:
            complaint = f"L0 {error}"
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)
        found = ([complaint] if complaint else []) + list(findings(self.world))
        world = self.world
        total = sum(len(workflow.tasks) for workflow in self.workflows)
        return Report(
            self.seed, tuple(found), world.digest, world.happenings, world.now_s(), total, world.overloads
        )

    async def _rest(self) -> str:
        end_s, round_ = self.world.now_s() + CALM_S, 0
        while complaint := unrest(self.world, len(self.workflows)):
            if self.world.now_s() > end_s:
                return complaint
            if not round_ % 20:
                self._let_go_on()
            round_ += 1
            await asyncio.sleep(0.5)
        return ""

    # --- clients -------------------------------------------------------------------------------

    def _submit(self) -> None:
        random, loop = self.world.random, asyncio.get_running_loop()
        for workflow in self.workflows:
            at_s = random.uniform(0.0, 5.0)
            submission = SubmitWorkflow(workflow.id, workflow)
            loop.call_later(at_s, self._request, Recipient.PLANNER, submission)
            if random.random() < 0.15:
                cancel = CancelExecution(workflow.id, "drawn")
                loop.call_later(at_s + random.uniform(0.0, 20.0), self._request, Recipient.SCHEDULER, cancel)
            if random.random() < 0.2:
                self._interfere(workflow, at_s)

    def _interfere(self, workflow: Workflow, at_s: float) -> None:
        """Let somebody pause the execution or a task of it, and resume what is paused or out of time."""
        random, loop = self.world.random, asyncio.get_running_loop()
        for number in range(random.randrange(1, 6)):
            task_id = random.choice(("", "", random.choice(workflow.tasks).id))
            kind = random.choice((PauseExecution, ResumeExecution))
            request = kind(workflow.id, f"drawn-{number}", task_id)
            at_s += random.uniform(0.0, 10.0)
            loop.call_later(at_s, self._request, Recipient.SCHEDULER, request)
        if random.random() < 0.2:
            force = CancelExecution(workflow.id, "forced", is_forced=True)
            loop.call_later(at_s + 1.0, self._request, Recipient.SCHEDULER, force)

    def _let_go_on(self) -> None:
        """Resume what is still paused, and release what is parked: nobody else will."""
        for key, state in self.world.book.of_kind(EXECUTION).items():
            request_id = f"rest-{state.version}"
            if state.status is ExecutionState.PAUSED:
                self._request(Recipient.SCHEDULER, ResumeExecution(key, request_id))
            for task_id in status_of(state).parked:
                release = ReleaseTask(key, f"{request_id}-{task_id}-parked", task_id)
                self._request(Recipient.SCHEDULER, release)
            for task_id in status_of(state).paused:
                request = ResumeExecution(key, f"{request_id}-{task_id}", task_id)
                self._request(Recipient.SCHEDULER, request)

    def _request(self, to: Recipient, message: Message) -> None:
        self._requests += 1
        letter = Letter(f"client:{self._requests}", message)
        body = encode_envelope(Envelope((Parcel("client", 0, (letter,)),)))
        self.world.request(to.value, shard_of(message.key, SHARDS), body)

    # --- what just happens ---------------------------------------------------------------------

    def _misfortunes(self) -> list[asyncio.Task[None]]:
        faults = self.world.faults
        return [
            asyncio.create_task(self._now_and_then(faults.crash_every_s, self._crash)),
            asyncio.create_task(self._now_and_then(faults.lease_loss_every_s, self._take_lease)),
            asyncio.create_task(self._now_and_then(faults.inbox_loss_every_s, self._lose_inboxes)),
        ]

    async def _now_and_then(self, every_s: float, happen: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self.world.random.expovariate(1.0 / every_s))
            if self.world.is_stormy:
                happen()

    def _crash(self) -> None:
        self.world.random.choice(self._processes).crash()

    def _take_lease(self) -> None:
        held = self._leases.held
        if held:
            name = self.world.random.choice(sorted(held))
            self.world.note("lease lost", name)
            held[name].end(self.world.random.uniform(0.0, 2.0))

    def _lose_inboxes(self) -> None:
        for subject in self.world.post.subjects():
            if ".inbox." in subject and self.world.random.random() < 0.7:
                self.world.lose_inbox(subject)
