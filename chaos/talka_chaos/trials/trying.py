"""Runs the workflow in one world after the other, and shrinks what fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.harsh import Harshness
from talka_chaos.hosts import POOL_ID, SHARDS, Process
from talka_chaos.outside import arrivals
from talka_chaos.ports import SimLeases
from talka_chaos.report import Report
from talka_chaos.sim import CALM_S, Simulation
from talka_chaos.swarm import Faults
from talka_chaos.trials.modelling import modelled
from talka_chaos.trials.shrinking import fewest
from talka_chaos.virtual_loop import run_virtually
from talka_chaos.workers import WorkerProcess
from talka_chaos.world import Suffered, World
from talka_core.validation import check
from talka_protocols.messages import ConfigurePool, Recipient, RegisterWorker, SubmitWorkflow
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION, shard_of
from talka_protocols.workflow import Workflow
from talka_services.trials import Fault, Site, Stopped, Trial

EXECUTION_ID = "tried"
UNREST = "L1"
"""The rule that all ends, for which alone it matters how long one waits for that."""
SHORT_CALM_S = 30.0
LABEL = re.compile(r"\b[A-Z][0-9]+\b")
SLOTS = 8
BROKEN = (TaskStatus.FAILED, TaskStatus.TIMED_OUT)
TRIES = 100
"""How many runs may be spent on shrinking one failure."""


def pauses_s(workflow: Workflow) -> float:
    """Return how long all pauses between attempts may last, were each task to fail as often as it may."""
    own = sum(
        min(task.retry.max_seconds, task.retry.base_seconds * task.retry.factor**number)
        for task in workflow.tasks
        for number in range(task.retries)
    )
    return own + sum(pauses_s(task.workflow) for task in workflow.tasks if task.workflow is not None)


class Tried(Simulation):
    """A world in which one workflow is submitted, and nobody interferes with it."""

    def __init__(
        self, seed: int, workflow: Workflow, site: Site, only: frozenset[Suffered] | None = None
    ) -> None:
        self._site = site
        self._only = only
        super().__init__(seed, workflow)
        self.calm_s = CALM_S + pauses_s(workflow)
        self._harshness = Harshness(seed, self.world, self._leases)

    def _make_world(self, faults: Faults | None) -> World:
        return World(self.seed, faults, shared=self._site.shared, only=self._only)

    def _hire(self, random: Random) -> list[Process]:  # noqa: ARG002  (the user says what there is)
        return [
            _OfferingWorker(f"w{number}", offer, self.world, self._leases, self._sizes)
            for number, offer in enumerate(self._site.offers)
        ]

    def _submit(self) -> None:
        workflow, random = self.workflows[0], self.world.random
        self._request(Recipient.RESOURCE, POOL_ID, ConfigurePool(POOL_ID, self.world.shared))
        at_s, shard = random.uniform(0.0, 5.0), shard_of(workflow.id, SHARDS)
        loop, submission = asyncio.get_running_loop(), SubmitWorkflow(workflow.id, workflow)
        loop.call_later(at_s, self._request, Recipient.PLANNER, shard, submission)
        for moment, message in arrivals(random, workflow, at_s, self.world.faults.storm_s):
            loop.call_later(moment, self._request, Recipient.SCHEDULER, shard, message)

    def _misfortunes(self) -> list[asyncio.Task[None]]:
        return [*super()._misfortunes(), *self._harshness.begin(self._processes)]


class _OfferingWorker(WorkerProcess):
    """A worker that offers what the user says."""

    def __init__(
        self,
        worker_id: str,
        offer: Mapping[str, float],
        world: World,
        leases: SimLeases,
        sizes: tuple[int, int],
    ) -> None:
        super().__init__(worker_id, 0.0, world, leases, sizes)
        self._offer = RegisterWorker(POOL_ID, worker_id, 0, (AGENT_TYPE,), SLOTS, dict(offer))


def tried(workflow: Workflow, site: Site, seeds: Sequence[int]) -> Iterator[Trial]:
    """Yield what becomes of a workflow under the faults of each seed; see ``talka_services.trials``.

    Raises:
        WorkflowInvalidError: it can never run there.
    """
    model = modelled(workflow, EXECUTION_ID)
    ceiling = {
        name: max(offer.get(name, 0.0) for offer in site.offers) for offer in site.offers for name in offer
    }
    check(model, ceiling={**ceiling, **site.shared})
    for seed in seeds:
        yield _tried(seed, model, site)


def _tried(seed: int, model: Workflow, site: Site) -> Trial:
    simulation, report = _run(seed, model, site, None)
    trial = Trial(
        seed,
        _status(simulation),
        round(report.virtual_s, 3),
        len(simulation.world.runs.begun),
        report.events,
        {kind: count for kind, count in sorted(report.injected.items()) if count},
        stopped=_stopped(simulation),
    )
    if report.is_healthy:
        return trial
    label = labels_of(report.findings[:1])
    kept = fewest(simulation.world.suffered, _failing(seed, model, site, label), TRIES)
    smallest, found = _run(seed, model, site, kept)
    faults = sorted((at_s, kind) for (kind, _), at_s in smallest.world.suffered.items())
    return replace(
        trial,
        violations=found.findings,
        faults=tuple(Fault(kind, round(at_s, 3)) for at_s, kind in faults),
    )


def _run(
    seed: int,
    model: Workflow,
    site: Site,
    only: frozenset[Suffered] | None,
    calm_s: float | None = None,
) -> tuple[Tried, Report]:
    simulation = Tried(seed, model, site, only)
    if calm_s is not None:
        simulation.calm_s = calm_s
    return simulation, run_virtually(simulation.run())


def _failing(
    seed: int, model: Workflow, site: Site, labels: frozenset[str]
) -> Callable[[frozenset[Suffered]], bool]:
    """Return what tells whether a run with these faults alone violates the same rule."""
    calm_s = None if UNREST in labels else SHORT_CALM_S
    return lambda only: labels <= labels_of(_run(seed, model, site, only, calm_s)[1].findings)


def labels_of(findings: Sequence[str]) -> frozenset[str]:
    """Return the labels of the rules that were broken; a finding without one has none."""
    return frozenset(found[0] for each in findings if (found := LABEL.search(each)))


def _status(simulation: Tried) -> str:
    state = simulation.world.book.of_kind(EXECUTION).get(EXECUTION_ID)
    return "" if state is None else str(state.status)


def _stopped(simulation: Tried) -> tuple[Stopped, ...]:
    state = simulation.world.book.of_kind(EXECUTION).get(EXECUTION_ID)
    if state is None or state.status is ExecutionState.SUCCEEDED:
        return ()
    return tuple(
        Stopped(task_id, str(task.status), task.attempt, task.error.message if task.error else "")
        for task_id, task in state.tasks.items()
        if task.status in BROKEN
    )
