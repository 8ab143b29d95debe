"""A recorded execution as a question: what it was, how long its tasks took, and on which workers.

The graph is the one that it grew to: items of maps and added tasks are there,
what conditions left out is not, and what undid tasks is not either. Estimates
stay what they were, as they are what the actors knew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from talka_core.payloads import KINDS
from talka_core.scheduler.index import EXTENSION
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_core.simulation.assumptions import real_milliseconds, taken_s
from talka_core.simulation.result import SimulatedRun, summed_up
from talka_core.simulation.world import Offer, bound_of, whole_of
from talka_protocols.baseline import Baseline
from talka_protocols.errors import CallerError
from talka_protocols.events import (
    Event,
    PoolConfigured,
    PoolEvent,
    TaskIterated,
    TaskStarted,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
)
from talka_protocols.policies import Concurrency, Join
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow

_UNTIMED = (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED, TaskStatus.SCHEDULED)


class NothingRecordedError(CallerError):
    """The execution never started, so there is nothing to simulate."""

    code = "nothing_recorded"


class Recorded(Struct, frozen=True):
    """What a recorded execution was: ``seconds`` is how long each task took, by id.

    ``run`` is how it went, and None while it is not over. ``baseline`` is the schedule
    that it followed, unless its graph has grown since. ``quota`` is the most that its tenant might have.
    """

    workflow: Workflow
    seconds: dict[str, float]
    offers: tuple[Offer, ...]
    shared: dict[str, float]
    run: SimulatedRun | None
    baseline: Baseline | None = None
    quota: dict[str, float] = {}


def recorded(
    state: ExecutionRecord,
    events: Iterable[Event],
    pool_history: Sequence[tuple[int, PoolEvent]],
    now_ms: int,
) -> Recorded:
    """Return what an execution was.

    Args:
        state: The execution's, now.
        events: All of its log.
        pool_history: The events of its pool with their instants (milliseconds since the epoch).
        now_ms: The instant until which what still runs has run.

    Raises:
        NothingRecordedError: it never started.
    """
    if state.workflow is None or not state.started_at:
        raise NothingRecordedError(
            f"The execution {state.execution_id!r} never started: {state.reason or 'nothing ran'}",
            hint="Simulate the file that it came from.",
        )
    workflow = grown(state)
    looped = _looped_ms(events)
    seconds = {task.id: measured_s(state, task.id, now_ms, looped.get(task.id, 0)) for task in workflow.tasks}
    offers, shared = staff(pool_history, state.started_at, state.finished_at or now_ms)
    run = _as_it_went(state, workflow, seconds, offers, shared)
    is_same = [task.id for task in workflow.tasks] == [task.id for task in state.workflow.tasks]
    quota = quota_of(pool_history, state.started_at, state.workflow.config.tenant)
    return Recorded(workflow, seconds, offers, shared, run, state.baseline if is_same else None, quota)


def grown(state: ExecutionRecord) -> Workflow:
    """Return the workflow of an execution as its graph is by now, without what conditions left out.

    Groups are in its edges, and nothing is undone in it.
    """
    assert state.workflow is not None, "only what was accepted has a graph"
    left = {task_id for task_id, record in state.tasks.items() if record.undoes or _was_left_out(record)}
    before = _needs(state, left)
    tasks = tuple(
        replace(
            _as_grown(state, task),
            dependencies=(),
            join=_join(task, len(before[task_id])),
            group="",
            compensation=None,
        )
        for task_id, task in state.index.tasks.items()
        if task_id not in left
    )
    edges = tuple(Dependency(source, task.id) for task in tasks for source in before[task.id])
    most = max(state.workflow.constraints.max_tasks, len(tasks))
    constraints = replace(state.workflow.constraints, max_tasks=most)
    return replace(state.workflow, tasks=tasks, dependencies=edges, constraints=constraints)


def _as_grown(state: ExecutionRecord, task: Task) -> Task:
    """Return a map as what waits for its items, and an item so that it obeys the map's limit."""
    if task.id in state.maps:
        return replace(task, agent_type="wait", payload={}, map=None, resources=ResourceRequirements())
    rule = state.index.tasks[state.index.maps[task.id]].map if task.id in state.index.maps else None
    if rule is None or rule.max_parallel is None or task.concurrency is not None:
        return task
    return replace(task, concurrency=Concurrency(f"map:{state.index.maps[task.id]}", rule.max_parallel))


def _was_left_out(record: TaskRecord) -> bool:
    return record.status is TaskStatus.SKIPPED and bool(record.condition)


def _needs(state: ExecutionRecord, left: set[str]) -> dict[str, list[str]]:
    """Return what each task waited for; a map for its items, which waited for what the map needed.

    A task that waits until all is done waited for what led to a task that was left out.
    """
    index = state.index
    made_by = {
        task.id: added.by for added in state.added if added.reason == EXTENSION for task in added.tasks
    }
    needs: dict[str, dict[str, None]] = {}
    for task_id, task in index.tasks.items():
        found: dict[str, None] = {}
        pending = list(index.predecessors[index.maps.get(task_id, task_id)])
        pending += index.items.get(task_id, ())
        if by := made_by.get(task_id):
            pending.append(by)
        while pending:
            source = pending.pop(0)
            if source not in left:
                found.setdefault(source)
            elif task.join is Join.DONE and source in index.predecessors:
                pending += index.predecessors[source]
        needs[task_id] = found
    return {task_id: list(found) for task_id, found in needs.items()}


def _join(task: Task, needed: int) -> Join | int:
    """Return the join over what is left: one that asks for a number asks for no more than there are."""
    if needed == 0:
        return Join.ALL
    return task.join if isinstance(task.join, Join) else min(task.join, needed)


def measured_s(state: ExecutionRecord, task_id: str, now_ms: int, looped_ms: int = 0) -> float:
    """Return how long a task took in its last attempt; what did not run takes its estimate.

    One that was stopped, or still runs, takes at least as long as it ran. What a
    fork took over took no time, and a map none of its own.
    """
    record, task = state.tasks[task_id], state.index.tasks[task_id]
    if task_id in state.maps or 0 < record.finished_at <= state.started_at:
        return 0.0
    if not record.started_at or record.status in _UNTIMED:
        return taken_s(task)
    spent = (looped_ms + max(0, (record.finished_at or now_ms) - record.started_at)) / 1000
    is_done = record.status in (TaskStatus.SUCCEEDED, TaskStatus.COMPENSATED)
    return spent if is_done else max(spent, taken_s(task))


def _looped_ms(events: Iterable[Event]) -> dict[str, int]:
    """Return how long the rounds of loops before the last one ran, by task id."""
    began: dict[str, int] = {}
    spent: dict[str, int] = {}
    for event in events:
        if isinstance(event, TaskStarted):
            began[event.task_id] = event.started_at
        elif isinstance(event, TaskIterated) and event.task_id in began:
            ran = event.finished_at - began.pop(event.task_id)
            spent[event.task_id] = spent.get(event.task_id, 0) + max(0, ran)
    return spent


def staff(
    history: Iterable[tuple[int, PoolEvent]], began_ms: int, ended_ms: int
) -> tuple[tuple[Offer, ...], dict[str, float]]:
    """Return the workers that a pool had in a time, with what it had as a whole at its beginning."""
    present: dict[tuple[str, int], _Presence] = {}
    shared: dict[str, float] = {}
    for at, event in history:
        if at > ended_ms:
            break
        match event:
            case WorkerJoined():
                present[event.worker_id, event.incarnation] = _Presence(event, at)
            case WorkerDraining() | WorkerLost():
                if entry := present.get((event.worker_id, event.incarnation)):
                    entry.until = min(at, entry.until or at)
            case PoolConfigured():
                shared = event.shared if at <= began_ms or not shared else shared
            case _:
                pass
    there = [entry for entry in present.values() if not entry.until or entry.until > began_ms]
    return tuple(_offer(entry, began_ms) for entry in there), dict(shared)


def quota_of(history: Iterable[tuple[int, PoolEvent]], began_ms: int, tenant: str) -> dict[str, float]:
    """Return the most that a tenant might have of a pool at an instant."""
    quotas: dict[str, dict[str, float]] = {}
    for at, event in history:
        if isinstance(event, PoolConfigured) and at <= began_ms:
            quotas = event.quotas
    return quotas.get(tenant, {})


class _Presence(Struct):
    joined: WorkerJoined
    since: int
    until: int = 0


def _offer(entry: _Presence, began_ms: int) -> Offer:
    joined = entry.joined
    return Offer(
        joined.capacity,
        joined.slots,
        joined.agent_types,
        joined.slots_by_agent,
        max(0, entry.since - began_ms) / 1000,
        (entry.until - began_ms) / 1000 if entry.until else None,
        joined.labels,
    )


def _as_it_went(
    state: ExecutionRecord,
    workflow: Workflow,
    seconds: Mapping[str, float],
    offers: Sequence[Offer],
    shared: Mapping[str, float],
) -> SimulatedRun | None:
    if not state.finished_at:
        return None
    whole = whole_of(offers, shared)
    bound = bound_of(workflow, real_milliseconds(workflow, seconds), whole)
    return summed_up(state, bound, whole, dict(_began(state)))


def _began(state: ExecutionRecord) -> Iterator[tuple[str, int]]:
    for task_id, record in state.tasks.items():
        is_own = record.started_at >= state.started_at and record.finished_at
        if is_own and state.index.tasks[task_id].agent_type not in KINDS and task_id not in state.maps:
            yield task_id, record.started_at
