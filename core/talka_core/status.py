"""What the states of executions and pools mean to people: results, status, inventory."""

from __future__ import annotations

from typing import Any

import msgspec

from talka_core.resource.fairness import tenants_of
from talka_core.resource.shared import free_of
from talka_core.resource.state import SLOTS, PoolRecord, WorkerEntry, plain
from talka_core.scheduler import preempting
from talka_core.scheduler.artifacts import sentence
from talka_core.scheduler.state import PARKED, ExecutionRecord, TaskRecord
from talka_core.scheduler.usage import overuse_sentence
from talka_protocols.events import TaskUsageMeasured
from talka_protocols.results import Awaited, ExecutionStatus, TaskResult, WorkflowResult
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.workflow import ResourceInventory, SharedResource, WorkerResources


def status_of(state: ExecutionRecord) -> ExecutionStatus:
    """Return where the execution stands."""
    archived = state.archived
    counts: dict[TaskStatus, int] = dict(archived.counts) if archived is not None else {}
    for record in state.tasks.values():
        counts[record.status] = counts.get(record.status, 0) + 1
    paused = (
        task_id
        for task_id, record in state.tasks.items()
        if record.is_paused and record.status not in FINAL_TASK_STATUSES
    )
    parked = (
        task_id
        for task_id, record in state.tasks.items()
        if record.status is TaskStatus.WAITING and record.waiting == PARKED
    )
    return ExecutionStatus(
        state.execution_id,
        state.name,
        state.status or ExecutionState.ACCEPTED,
        state.version,
        sum(counts.values()),
        counts,
        _those(state, TaskStatus.RUNNING),
        _seconds(state.started_at),
        _seconds(state.finished_at),
        state.reason,
        _those(state, TaskStatus.WAITING),
        state.parent,
        tuple(paused),
        tuple(parked),
        _alerts(state),
        archived.place if archived is not None else "",
    )


def _those(state: ExecutionRecord, status: TaskStatus) -> tuple[str, ...]:
    return tuple(task_id for task_id, record in state.tasks.items() if record.status is status)


def result_of(state: ExecutionRecord) -> WorkflowResult:
    """Return how the execution ended, or how far it has come."""
    is_timed = state.started_at and state.finished_at
    return WorkflowResult(
        state.execution_id,
        state.name,
        state.status or ExecutionState.ACCEPTED,
        {
            task_id: task_result(task_id, record, state.usage.get(task_id))
            for task_id, record in state.tasks.items()
        },
        (state.finished_at - state.started_at) / 1000 if is_timed else None,
        state.reason,
        _alerts(state),
    )


def _alerts(state: ExecutionRecord) -> tuple[str, ...]:
    threats = () if state.threatened is None else (preempting.sentence(state, state.threatened),)
    overused = (overuse_sentence(event) for event in state.usage.values() if event.overuse)
    return (*threats, *(sentence(event) for event in state.violations), *overused)


def task_result(task_id: str, record: TaskRecord, measured: TaskUsageMeasured | None = None) -> TaskResult:
    """Return how one task ended; a large result stays a claim check."""
    value: Any = record.claim
    if record.claim is None:
        value = msgspec.json.decode(record.result)
    return TaskResult(
        task_id,
        record.status,
        record.attempt,
        value,
        record.error,
        _seconds(record.started_at),
        _seconds(record.finished_at),
        record.worker_id or None,
        _awaited(record) if record.status is TaskStatus.WAITING else None,
        measured.usage if measured else None,
    )


def _awaited(record: TaskRecord) -> Awaited:
    data: Any = msgspec.json.decode(record.asked)
    return Awaited(record.waiting, record.awaited, _seconds(record.due_at), data)


def inventory_of(state: PoolRecord) -> ResourceInventory:
    """Return what the pool offers now."""
    workers = tuple(_worker(worker_id, entry) for worker_id, entry in sorted(state.workers.items()))
    shared = {
        name: SharedResource(capacity, free_of(state, name) / 1000)
        for name, capacity in sorted(state.shared.items())
    }
    breakers = {name: circuit.phase for name, circuit in sorted(state.circuits.items())}
    closed = dict.fromkeys(sorted(state.breakers), "closed")
    waiting, reservations = len(state.waiting), len(state.reservations)
    return ResourceInventory(
        state.pool,
        workers,
        waiting,
        reservations,
        shared,
        closed | breakers,
        tenants_of(state),
        state.strategy,
    )


def whole_of(inventory: ResourceInventory) -> dict[str, float]:
    """Return what a pool has in all, slots and pool-wide amounts included; empty without workers."""
    whole: dict[str, float] = {}
    for worker in inventory.workers:
        for name, amount in (*worker.capacity.items(), (SLOTS, float(worker.slots))):
            whole[name] = whole.get(name, 0.0) + amount
    return whole | {name: each.capacity for name, each in inventory.shared.items()} if whole else {}


def _worker(worker_id: str, entry: WorkerEntry) -> WorkerResources:
    return WorkerResources(
        worker_id,
        entry.agent_types,
        entry.capacity[SLOTS] // 1000,
        entry.free[SLOTS] // 1000,
        _amounts(entry.capacity),
        _amounts(entry.free),
        entry.is_draining,
        entry.labels,
    )


def _amounts(amounts: dict[str, int]) -> dict[str, float]:
    return plain({name: amount for name, amount in amounts.items() if not name.startswith(SLOTS)})


def _seconds(instant_ms: int) -> float | None:
    return instant_ms / 1000 if instant_ms else None


def use_of(inventory: ResourceInventory) -> dict[str, tuple[float, float]]:
    """Return how much of each resource of a pool is held, and how much there is."""
    use = {name: (whole.capacity - whole.free, whole.capacity) for name, whole in inventory.shared.items()}
    for worker in inventory.workers:
        slots = float(worker.slots)
        offered = {"slots": (slots - worker.slots_free, slots)}
        offered |= {
            name: (whole - worker.free.get(name, 0.0), whole)
            for name, whole in worker.capacity.items()
            if name not in inventory.shared
        }
        for name, (used, whole) in offered.items():
            before = use.get(name, (0.0, 0.0))
            use[name] = (before[0] + used, before[1] + whole)
    return use
