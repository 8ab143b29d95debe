"""Runs one whole cluster in virtual time, under the faults of one seed, and judges it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random

from talka_chaos import rewinding
from talka_chaos.archiving import archiving_findings
from talka_chaos.attempts import repeated, with_rules
from talka_chaos.baselines import proposals, submission_of
from talka_chaos.booked import drawn_requests, with_bookings
from talka_chaos.branches import with_control_flow
from talka_chaos.breakers import drawn_breakers, drawn_outage
from talka_chaos.bursts import drawn_bursts
from talka_chaos.checkers import findings, unrest
from talka_chaos.cron import Clockwork, Moments, drawn_clockwork, drawn_starts
from talka_chaos.events import Occasions, at_now, drawn_occasions
from talka_chaos.forks import fork, moments
from talka_chaos.gangs import with_gangs
from talka_chaos.graphs import licensed, random_workflow, with_children
from talka_chaos.hosts import POOL_ID, SHARDS, OwnerProcess, Process
from talka_chaos.intake import IntakeProcess
from talka_chaos.interference import (
    interference,
    lone_cancellations,
    other_orders,
    pauses_on_the_way_back,
    relief,
)
from talka_chaos.keyed import with_keys
from talka_chaos.labelled import with_labels
from talka_chaos.outside import LAST_S, arrivals, with_arrivals
from talka_chaos.patience import Patience
from talka_chaos.ports import SimLeases
from talka_chaos.report import Report
from talka_chaos.resumption import restart_from_checkpoint, resumption_moments
from talka_chaos.rewinding import undoable, with_more_undoable
from talka_chaos.scaling import ScalerProcess, drawn_scaling
from talka_chaos.skew import Skew
from talka_chaos.swarm import Faults
from talka_chaos.tenancy import drawn_division, with_rivals, with_tenants
from talka_chaos.timetable import drawn_rests, drawn_schedules, drawn_wishes, released
from talka_chaos.trouble import dawdling, forced_cancels, with_trouble
from talka_chaos.urgent import with_deadlines
from talka_chaos.virtual_loop import StillnessError, run_virtually
from talka_chaos.workers import WorkerProcess
from talka_chaos.world import SHARED, World
from talka_protocols.messages import (
    CancelExecution,
    ConfigurePool,
    Envelope,
    Letter,
    Message,
    Parcel,
    PutSchedule,
    Recipient,
    ScalePool,
    StarterMessage,
    TriggerMessage,
    encode_envelope,
)
from talka_protocols.subjects import EXECUTION, SCHEDULE, shard_of
from talka_protocols.workflow import Workflow

CUT_OFF_S = 15.0
CALM_S = 500.0
"""How long nothing at all may come of a world after its last fault; see ``Patience``."""


def run(seed: int, workflow: Workflow | None = None, faults: Faults | None = None) -> Report:
    """Run the world of one seed, with its own workflows or the given one."""
    return run_virtually(Simulation(seed, workflow, faults).run())


class Simulation:
    """One world, its processes and its clients."""

    calm_s = CALM_S

    def __init__(self, seed: int, workflow: Workflow | None = None, faults: Faults | None = None) -> None:
        self.seed = seed
        self.world = self._make_world(faults)
        random = self.world.random
        self._clockwork = Clockwork() if workflow else drawn_clockwork(seed, self.world.faults.storm_s)
        self.world.epoch_ms = self._clockwork.epoch_ms or self.world.epoch_ms
        self.workflows = [workflow] if workflow else self._embellished(self._drawn(random))
        self._sizes = random.choice((900_000, 900_000, 6_000, 2_000)), random.choice((5_000, 50, 10))
        self._leases = SimLeases(self.world)
        self._processes = self._populate(random)
        self.schedules = [] if workflow else drawn_schedules(seed)
        self._later = [] if workflow else self._drawn_later()
        is_anything_later = bool(self.schedules or self._later)
        self._starters = self._owners(
            [(Recipient.STARTER, str(n)) for n in range(SHARDS if is_anything_later else 0)]
        )
        self._processes += self._starters
        self.occasions = (
            Occasions()
            if workflow
            else drawn_occasions(seed, self.workflows[0].id, self.world.faults.storm_s)
        )
        self._processes += self._taking_in() if self.occasions.triggers else []
        self.scaling = None if workflow else drawn_scaling(seed)
        if self.scaling is not None:
            self._processes.append(ScalerProcess(self.world, self._leases, self._sizes))
        self._skew = None if workflow else Skew(seed, self.world)
        self._requests = 0
        if workflow is None and faults is None:
            self.world.outage_s = drawn_outage(seed)
            self.world.dawdling = dawdling(seed)
        self._forks: list[str] = []

    def _drawn_later(self) -> Moments:
        """Return what people ask of schedules that have streams of their own."""
        storm_s = self.world.faults.storm_s
        starts = drawn_starts(self.seed, self.world.epoch_ms, storm_s)
        return [*self._clockwork.requests, *starts, *drawn_bursts(self.seed, storm_s)]

    def _make_world(self, faults: Faults | None) -> World:
        return World(self.seed, faults)

    def _embellished(self, drawn: list[Workflow]) -> list[Workflow]:
        """Return the workflows with what is drawn for them from streams of their own."""
        labelled = with_labels(self.seed, with_keys(self.seed, drawn))
        ganged = with_gangs(self.seed, with_tenants(self.seed, labelled))
        undoable = with_more_undoable(self.seed, with_bookings(self.seed, ganged))
        urgent = with_deadlines(self.seed, with_trouble(self.seed, undoable))
        return with_rivals(self.seed, with_rules(self.seed, self.world.epoch_ms, urgent))

    @staticmethod
    def _drawn(random: Random) -> list[Workflow]:
        count = random.choice((1, 1, 2, 3, 8))
        sizes = (1, 5, 12, 25) if count < 8 else (1, 3)
        drawn = [random_workflow(random, f"x{i}", random.choice(sizes)) for i in range(count)]
        share = random.choice((0.0, 0.2, 0.8))
        licensed_ones = [licensed(random, workflow, share) for workflow in drawn]
        mixed = [with_control_flow(random, w) if random.random() < 0.3 else w for w in licensed_ones]
        awaiting = [with_arrivals(random, w) if random.random() < 0.3 else w for w in mixed]
        nested = [with_children(random, w) if random.random() < 0.2 else w for w in awaiting]
        is_plain = [one is plain for one, plain in zip(nested, licensed_ones, strict=True)]
        return [
            undoable(random, one) if plain and random.random() < 0.4 else one
            for one, plain in zip(nested, is_plain, strict=True)
        ]

    @property
    def _workers(self) -> list[Process]:
        return [process for process in self._processes if isinstance(process, WorkerProcess)]

    def _populate(self, random: Random) -> list[Process]:
        places = [
            (kind, str(shard)) for kind in (Recipient.PLANNER, Recipient.SCHEDULER) for shard in range(SHARDS)
        ]
        places.append((Recipient.RESOURCE, POOL_ID))
        return [*self._owners(places), *self._hire(random)]

    def _hire(self, random: Random) -> list[Process]:
        """Return the workers."""
        cores = [2.0, *(random.choice((1.0, 2.0, 3.3)) for _ in range(random.randrange(3)))]
        return [
            WorkerProcess(f"w{i}", offered, self.world, self._leases, self._sizes)
            for i, offered in enumerate(cores)
        ]

    def _owners(self, places: list[tuple[Recipient, str]]) -> list[Process]:
        return [
            OwnerProcess(kind, id_, f"{kind.value}-{id_}-{copy}", self.world, self._leases, self._sizes)
            for kind, id_ in places
            for copy in "ab"
        ]

    def _taking_in(self) -> list[Process]:
        """Return what owns the triggers, and what hands events to them."""
        owners = self._owners([(Recipient.TRIGGER, str(n)) for n in range(SHARDS)])
        return owners + [
            IntakeProcess(f"intake-{copy}", self.world, self._leases, self._sizes) for copy in "ab"
        ]

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
        if not complaint:
            self.world.book.finish()
        world = self.world
        found = ([complaint] if complaint else []) + list(findings(world))
        found += archiving_findings(world.book.of_kind(EXECUTION), world.now_ms(), kinds := set[str]())
        total = sum(len(workflow.tasks) for workflow in self.workflows)
        return Report(
            self.seed,
            tuple(found),
            world.digest,
            world.happenings,
            world.now_s(),
            total,
            dict(world.injected),
            world.book.auditor.summary.events,
            world.book.auditor.summary.allocations,
            world.book.kinds() | kinds,
        )

    async def _rest(self) -> str:
        patience, round_ = Patience(self.world, self.calm_s), 0
        later = {message.name for _, message in self._later if isinstance(message, PutSchedule)}
        count = len(self.workflows), len(self.schedules) + len(later)
        while complaint := self._missing() or unrest(self.world, *count, self.occasions):
            if patience.is_over():
                return complaint
            if not round_ % 20:
                self._let_go_on()
            round_ += 1
            await asyncio.sleep(0.5)
        return ""

    # --- clients -------------------------------------------------------------------------------

    def _submit(self) -> None:
        random, loop = self.world.random, asyncio.get_running_loop()
        division, breakers = drawn_division(self.seed), drawn_breakers(self.seed)
        self._request(
            Recipient.RESOURCE,
            POOL_ID,
            ConfigurePool(
                POOL_ID, SHARED, breakers=breakers, quotas=division.quotas, weights=division.weights
            ),
        )
        if self.scaling is not None:
            self._request(Recipient.RESOURCE, POOL_ID, ScalePool(POOL_ID, self.scaling))
        for at_s, asked in drawn_requests(self.seed, self.workflows, self.world.now_ms()):
            loop.call_later(at_s, self._request, Recipient.RESOURCE, POOL_ID, asked)
        for workflow in self.workflows:
            at_s = random.uniform(0.0, 5.0)
            submission, shard = submission_of(workflow), shard_of(workflow.id, SHARDS)
            for moment, again in [(at_s, submission), *repeated(self.seed, submission, at_s)]:
                loop.call_later(moment, self._request, Recipient.PLANNER, shard, again)
            if random.random() < 0.15:
                cancel = CancelExecution(workflow.id, "drawn")
                loop.call_later(
                    at_s + random.uniform(0.0, 20.0), self._request, Recipient.SCHEDULER, shard, cancel
                )
            requests: list[tuple[float, Message]] = []
            if random.random() < 0.2:
                requests += interference(random, workflow, at_s)
            if rewinding.can_go_back(workflow):
                requests += rewinding.requests(random, workflow, at_s)
                requests += pauses_on_the_way_back(self.seed, workflow, at_s)
            requests += lone_cancellations(self.seed, workflow, at_s)
            requests += other_orders(self.seed, workflow, at_s)
            requests += forced_cancels(self.seed, workflow, at_s)
            requests += proposals(self.seed, workflow, at_s)
            requests += arrivals(random, workflow, at_s, self.world.faults.storm_s)
            for moment, message in requests:
                loop.call_later(moment, self._request, Recipient.SCHEDULER, shard, message)
        for number, moment in enumerate(moments(self.seed, self.world.faults.storm_s)):
            loop.call_later(moment, self._fork, f"fork-{number}")
        for number, moment in enumerate(resumption_moments(self.seed, self.world.faults.storm_s)):
            loop.call_later(moment, self._resume, f"resumption-{number}")
        for put in self.schedules:
            loop.call_later(1.0, self._of_schedule, put)
        for at_s, message in self._later:
            loop.call_later(at_s, self._of_schedule, message)
        for at_s, rest_s in [*drawn_rests(self.seed, self.schedules), *self._clockwork.rests]:
            loop.call_later(at_s, self._leave, rest_s)
        for at_s, wish in drawn_wishes(self.seed, self.schedules, self.world.faults.storm_s):
            loop.call_later(at_s, self._of_schedule, wish)
        for at_s, message in self.occasions.requests:
            loop.call_later(at_s, self._of_trigger, message)
        for at_s, event in self.occasions.events:
            loop.call_later(at_s, self.world.publish, event)

    def _leave(self, rest_s: float) -> None:
        """Let all who own schedules be away for so long."""
        for process in self._starters:
            process.rest_s = rest_s
            process.crash()

    def _of_schedule(self, message: StarterMessage) -> None:
        self.world.asked.append(message)
        self._request(Recipient.STARTER, shard_of(message.key, SHARDS), message)

    def _of_trigger(self, message: TriggerMessage) -> None:
        now = at_now(message, len(self.world.events.published))
        self._request(Recipient.TRIGGER, shard_of(now.key, SHARDS), now)

    def _fork(self, name: str) -> None:
        submission = fork(Random(f"{self.seed} {name}"), self.world.book.commits, name)  # noqa: S311
        if submission is not None:
            self._forks.append(name)
            self._request(Recipient.PLANNER, shard_of(name, SHARDS), submission)

    def _resume(self, name: str) -> None:
        ours, random = {workflow.id for workflow in self.workflows}, Random(f"{self.seed} {name}")  # noqa: S311
        asked = restart_from_checkpoint(random, self.world.book.commits, ours, name)
        if asked is not None:
            self._request(Recipient.SCHEDULER, shard_of(asked.execution_id, SHARDS), asked)

    def _missing(self) -> str:
        """L1 say which fork has not begun yet."""
        begun = self.world.book.of_kind(EXECUTION)
        return next((f"L1 {name} has not begun" for name in self._forks if name not in begun), "")

    def _let_go_on(self) -> None:
        """Resume what is still paused, and release what is parked: nobody else will."""
        is_late = self.world.now_s() > self.world.faults.storm_s + LAST_S
        for key, state in self.world.book.of_kind(EXECUTION).items():
            for message in relief(state, is_late=is_late):
                self._request(Recipient.SCHEDULER, shard_of(key, SHARDS), message)
        for resumed in released(self.world.book.of_kind(SCHEDULE)):
            self._of_schedule(resumed)

    def _request(self, to: Recipient, address: str, message: Message) -> None:
        self._requests += 1
        letter = Letter(f"client:{self._requests}", message)
        body = encode_envelope(Envelope((Parcel("client", 0, (letter,)),)))
        self.world.request(to.value, address, body)

    # --- what just happens ---------------------------------------------------------------------

    def _misfortunes(self) -> list[asyncio.Task[None]]:
        faults = self.world.faults
        jumps = self._skew.begin(self._processes) if self._skew else []
        return [
            *jumps,
            asyncio.create_task(self._now_and_then(faults.crash_every_s, self._crash)),
            asyncio.create_task(self._now_and_then(faults.lease_loss_every_s, self._take_lease)),
            asyncio.create_task(self._now_and_then(faults.inbox_loss_every_s, self._lose_inboxes)),
            asyncio.create_task(self._now_and_then(faults.cut_off_every_s, self._cut_off)),
        ]

    async def _now_and_then(self, every_s: float, happen: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self.world.random.expovariate(1.0 / every_s))
            if self.world.is_stormy:
                happen()

    def _crash(self) -> None:
        random = self.world.random
        victim = random.choice(random.choice((self._processes, self._workers)))
        if self.world.allows("crash"):
            victim.crash()

    def _take_lease(self) -> None:
        held = self._leases.held
        if held:
            name = self.world.random.choice(sorted(held))
            notice_s = self.world.random.uniform(0.0, 2.0)
            if self.world.allows("lease_loss"):
                self.world.note("lease lost", name)
                self.world.injected["lease_loss"] += 1
                held[name].end(notice_s)

    def _cut_off(self) -> None:
        process = self.world.random.choice(self._workers)
        until_s = self.world.now_s() + self.world.random.uniform(1.0, CUT_OFF_S)
        if self.world.allows("cut_off"):
            process.cut_until_s = until_s
            self.world.injected["cut_off"] += 1
            self.world.note("cut off", process.name)

    def _lose_inboxes(self) -> None:
        for subject in self.world.post.subjects():
            is_lost = ".inbox." in subject and self.world.random.random() < 0.7
            if is_lost and self.world.allows("inbox_loss"):
                self.world.lose_inbox(subject)
