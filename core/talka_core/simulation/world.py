"""Discrete events in virtual time: the real planner, scheduler and pool, and modelled workers.

Nothing is decided here. Messages take no time, and all that falls on one
instant is delivered, in the order it was sent, before time goes on. What one
instant has for a pool arrives there together, after everything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from talka_core.behaviour import Behaviour, Effect, Send, SetAlarm, SetTimer, step, step_batch
from talka_core.graph import analyse, lower_bound
from talka_core.planner import PLANNER
from talka_core.resource import RESOURCE
from talka_core.resource.placement import shortage
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.scheduler.decide import TIMEOUT
from talka_core.search.bounds import resource_bound
from talka_core.simulation.assumptions import assumed, real_milliseconds
from talka_core.simulation.result import SimulatedRun, summed_up
from talka_protocols import messages as m
from talka_protocols.baseline import Baseline
from talka_protocols.errors import CallerError, WorkflowInvalidError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

EXECUTION_ID = "simulated"
BEGIN_MS = 1_000_000
"""Any instant but 0, which stands for never."""

_BEHAVIOURS: dict[Recipient, Behaviour[Any, Any, Any]] = {
    Recipient.PLANNER: PLANNER,
    Recipient.SCHEDULER: SCHEDULER,
    Recipient.RESOURCE: RESOURCE,
}
_Attempt = tuple[str, str, int]
_Timer = tuple[Recipient, str, str]
_Due = _Timer | m.AttemptFinished | m.RegisterWorker | m.DrainWorker


class SimulationStuckError(CallerError):
    """Nothing happens any more, and the execution is not over."""

    code = "simulation_stuck"


class Offer(Struct, frozen=True):
    """One modelled worker: its amounts by resource, and how many tasks it runs at once.

    It serves every agent type unless it names them, and has ``labels``. It is
    there from ``joins_s`` on and takes nothing new from ``leaves_s`` on, in
    seconds from the start of the execution.
    """

    capacity: Mapping[str, float]
    slots: int = 256
    agent_types: tuple[str, ...] = ()
    slots_by_agent: dict[str, int] = field(default_factory=dict[str, int])
    joins_s: float = 0.0
    leaves_s: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


def simulate(
    workflow: Workflow,
    offers: Sequence[Offer],
    shared: Mapping[str, float] | None = None,
    seconds: Mapping[str, float] | None = None,
    baseline: Baseline | bool = True,
) -> SimulatedRun:
    """Run a checked workflow on modelled workers, each task as long as its estimate.

    What is taken for granted stands in ``assumptions``. The same arguments
    always give the same result.

    Args:
        workflow: With complete dependencies, as ``validation.check`` returns it.
        offers: The workers.
        shared: Amounts that the pool has as a whole.
        seconds: How long tasks really take, by id; whoever decides knows the estimates only.
        baseline: A schedule to be followed; True lets the planner make its own, where the strategy
            is one that has one, and False does without.

    Raises:
        WorkflowInvalidError: the planner refuses it.
        SimulationStuckError: it would wait for ever, say for a resource that nobody offers.
    """
    simulated = assumed(workflow, seconds, is_labelled=any(offer.labels for offer in offers))
    durations = real_milliseconds(simulated, seconds)
    world = World(simulated.config.pool, durations)
    if shared:
        world.post(Recipient.RESOURCE, m.ConfigurePool(world.pool, dict(shared)))
    agent_types = tuple(sorted({task.agent_type for task in simulated.tasks}))
    for number, offer in enumerate(offers, 1):
        world.employ(f"w{number}", offer, agent_types)
    whole = whole_of(offers, shared or {})
    submission = m.SubmitWorkflow(
        EXECUTION_ID,
        simulated,
        capacity=whole if baseline is True else {},
        baseline=None if isinstance(baseline, bool) else baseline,
    )
    world.post(Recipient.PLANNER, submission)
    record = world.run()
    return summed_up(record, bound_of(simulated, durations, whole), whole, world.began)


def bound_of(workflow: Workflow, milliseconds: Mapping[str, int], whole: Mapping[str, float]) -> float:
    """Return the seconds below which no run of these durations ends."""
    real = replace(
        workflow,
        tasks=tuple(replace(task, estimated_seconds=milliseconds[task.id] / 1000) for task in workflow.tasks),
    )
    return max(lower_bound(real, analyse(real), whole), resource_bound(real, whole))


def whole_of(offers: Iterable[Offer], shared: Mapping[str, float]) -> dict[str, float]:
    """Return what all workers together offer, and the pool as a whole."""
    whole: dict[str, float] = {"slots": 0.0}
    for offer in offers:
        whole["slots"] += offer.slots
        for name, amount in offer.capacity.items():
            whole[name] = whole.get(name, 0.0) + amount
    return {**whole, **shared}


class World:
    """The actors' states, the messages of this instant, and what is due later.

    ``began`` tells when the newest attempt of each task began.
    """

    def __init__(self, pool: str, milliseconds: Mapping[str, int]) -> None:
        self.pool = pool
        self.began: dict[str, int] = {}
        self._now_ms = BEGIN_MS
        self._left = dict(milliseconds)
        self._states: dict[tuple[Recipient, str], Any] = {}
        self._mail: deque[tuple[Recipient, Any]] = deque()
        self._for_pool: list[m.ResourceMessage] = []
        self._due: list[tuple[int, int, _Due]] = []
        self._order = 0
        self._timers: dict[_Timer, int] = {}
        self._running: dict[_Attempt, str] = {}

    def post(self, to: Recipient, message: Any) -> None:
        """Send a message; it arrives at this instant."""
        if to is Recipient.RESOURCE:
            self._for_pool.append(message)
        else:
            self._mail.append((to, message))

    def employ(self, worker_id: str, offer: Offer, agent_types: tuple[str, ...]) -> None:
        """Let a worker join, and leave, when its offer says so."""
        types = offer.agent_types or agent_types
        by_agent = dict(offer.slots_by_agent)
        joining = m.RegisterWorker(
            self.pool, worker_id, 1, types, offer.slots, dict(offer.capacity), by_agent, labels=offer.labels
        )
        if offer.joins_s > 0:
            self._later(BEGIN_MS + round(1000 * offer.joins_s), joining)
        else:
            self.post(Recipient.RESOURCE, joining)
        if offer.leaves_s is not None:
            self._later(BEGIN_MS + round(1000 * offer.leaves_s), m.DrainWorker(self.pool, worker_id, 1))

    def run(self) -> ExecutionRecord:
        """Let time pass until the execution is over, and return its state then."""
        while True:
            while self._mail or self._for_pool:
                if self._mail:
                    self._deliver(*self._mail.popleft())
                else:
                    self._deliver_to_pool()
            record: ExecutionRecord = self._state(Recipient.SCHEDULER, EXECUTION_ID)
            if record.status is ExecutionState.REJECTED:
                raise WorkflowInvalidError(record.reason)
            if record.finished_at:
                return record
            if not self._due:
                raise self._stuck(record)
            self._now_ms = max(self._now_ms, self._due[0][0])
            while self._due and self._due[0][0] <= self._now_ms:
                self._happen(heappop(self._due)[2])

    def _state(self, to: Recipient, key: str) -> Any:
        if (to, key) not in self._states:
            self._states[to, key] = _BEHAVIOURS[to].initial(key)
        return self._states[to, key]

    def _deliver(self, to: Recipient, message: Any) -> None:
        if to is Recipient.WORKER:
            self._work(message)
        elif to in _BEHAVIOURS:
            _, effects = step(_BEHAVIOURS[to], self._state(to, message.key), message, self._now_ms)
            for _, effect in effects:
                self._perform(to, effect)

    def _deliver_to_pool(self) -> None:
        messages, self._for_pool = self._for_pool, []
        state = self._state(Recipient.RESOURCE, self.pool)
        for _, _, effects in step_batch(RESOURCE, state, messages, self._now_ms):
            for _, effect in effects:
                self._perform(Recipient.RESOURCE, effect)

    def _perform(self, actor: Recipient, effect: Effect) -> None:
        if isinstance(effect, Send):
            self.post(effect.to, effect.message)
        elif isinstance(effect, SetTimer | SetAlarm) and effect.name != TIMEOUT:
            # A time limit is told and not obeyed: it is worth knowing how far beyond it a run would go.
            timer = (actor, effect.key, effect.name)
            self._timers[timer] = effect.due_at
            self._later(effect.due_at, timer)

    def _later(self, due_at: int, what: _Due) -> None:
        self._order += 1
        heappush(self._due, (due_at, self._order, what))

    def _happen(self, what: _Due) -> None:
        if isinstance(what, m.AttemptFinished):
            if self._running.pop((what.execution_id, what.task_id, what.attempt), None):
                self.post(Recipient.SCHEDULER, what)
        elif isinstance(what, m.RegisterWorker | m.DrainWorker):
            self.post(Recipient.RESOURCE, what)
        elif self._timers.get(what, self._now_ms + 1) <= self._now_ms:
            # One that was set again is due only at its newest time.
            del self._timers[what]
            self.post(what[0], m.TimerFired(what[1], what[2]))

    def _work(self, message: Any) -> None:
        """Be every worker: begin at once, end after the task's estimate."""
        if isinstance(message, m.StartTask):
            attempt = (message.execution_id, message.task.id, message.attempt)
            if attempt in self._running:
                return
            now_ms, worker_id = self._now_ms, message.worker_id
            self._running[attempt] = worker_id
            self.began[message.task.id] = now_ms
            self.post(Recipient.SCHEDULER, m.AttemptStarted(*attempt, worker_id, now_ms))
            ends_at = now_ms + self._left[message.task.id]
            self._later(ends_at, _report(attempt, worker_id, now_ms, ends_at, Outcome.SUCCEEDED))
        elif isinstance(message, m.CancelTask):
            attempt = (message.execution_id, message.task_id, message.attempt)
            worker_id = self._running.pop(attempt, "")
            if worker_id:
                began_at = self.began[message.task_id]
                # One that is preempted goes on where it was.
                self._left[message.task_id] -= self._now_ms - began_at
                self.post(
                    Recipient.SCHEDULER,
                    _report(attempt, worker_id, began_at, self._now_ms, Outcome.CANCELLED),
                )

    def _stuck(self, record: ExecutionRecord) -> SimulationStuckError:
        waiting = [t for t, task in record.tasks.items() if task.status not in FINAL_TASK_STATUSES]
        task_id = next((t for t in waiting if record.tasks[t].status is TaskStatus.QUEUED), waiting[0])
        task = record.index.tasks[task_id]
        why = shortage(
            self._state(Recipient.RESOURCE, self.pool), task.agent_type, record.index.amounts[task_id]
        )
        return SimulationStuckError(
            f"{len(waiting)} of the tasks would never end; task {task_id!r} waits. {why}",
            hint="Offer what it needs with --capacity, --workers or --shared, or ask for less.",
        )


def _report(
    attempt: _Attempt, worker_id: str, began_at: int, ended_at: int, outcome: Outcome
) -> m.AttemptFinished:
    return m.AttemptFinished(*attempt, worker_id, began_at, ended_at, outcome)
