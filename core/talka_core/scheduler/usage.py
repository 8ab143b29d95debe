"""What attempts used of their worker, held against what they asked for."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from msgspec import Struct

from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import ExecutionEvent, Overuse, TaskUsageMeasured, Usage
from talka_protocols.messages import AttemptFinished
from talka_protocols.workflow import ResourceRequirements, Task

CPU_MS_MIN = 500
"""Below that much processor time an average says nothing about how many cores a task needs."""
CPU_TOLERANCE = 1.1
MARGIN = 1.25
"""What is proposed is so much more than what was seen, because the next run may need a bit more."""
MEMORY_STEP_MB = 16
CORES_STEP = 0.25


def measured(state: ExecutionRecord, message: AttemptFinished) -> Iterator[ExecutionEvent]:
    """Record what the attempt used, once, where its worker could see anything."""
    usage, known = message.usage, state.usage.get(message.task_id)
    if usage is None or (known is not None and known.attempt == message.attempt):
        return
    asked = state.index.tasks[message.task_id].resources
    yield TaskUsageMeasured(message.task_id, message.attempt, usage, tuple(_overuse(asked, usage)))


def _overuse(asked: ResourceRequirements, usage: Usage) -> Iterator[Overuse]:
    if asked.memory_mb and usage.memory_mb is not None and usage.memory_mb > asked.memory_mb:
        yield Overuse("memory_mb", asked.memory_mb, usage.memory_mb)
    cores = usage.cores or 0.0
    is_long_enough = (usage.cpu_ms or 0) >= CPU_MS_MIN
    if asked.cpu_cores and is_long_enough and cores > asked.cpu_cores * CPU_TOLERANCE:
        yield Overuse("cpu_cores", asked.cpu_cores, round(cores, 2))
    if usage.gpus is not None and usage.gpus > asked.gpu_count:
        yield Overuse("gpu_count", asked.gpu_count, usage.gpus)


def overuse_sentence(event: TaskUsageMeasured) -> str:
    """Say in one sentence what a task used more of than it asks for, and what to write instead."""
    found = ", ".join(f"{o.used:g} {o.resource} (it asks for {o.asked:g})" for o in event.overuse)
    return f"Attempt {event.attempt} of the task {event.task_id!r} used {found}. Raise its resources."


class Proposal(Struct, frozen=True):
    """One task's requirements, what its last measured attempt used, and what to ask for instead.

    ``cpu_cores`` and ``memory_mb`` are None where nothing was measured that says better.
    """

    task_id: str
    agent_type: str
    attempt: int
    asked: ResourceRequirements
    usage: Usage
    overuse: tuple[Overuse, ...]
    cpu_cores: float | None
    memory_mb: float | None


def proposals(state: ExecutionRecord) -> tuple[Proposal, ...]:
    """Return what every measured task of the execution should ask for."""
    tasks = state.index.tasks
    return tuple(
        _proposal(tasks[task_id], event) for task_id, event in state.usage.items() if task_id in tasks
    )


def _proposal(task: Task, event: TaskUsageMeasured) -> Proposal:
    usage, cores = event.usage, event.usage.cores
    is_long_enough = usage.cpu_ms is not None and usage.wall_ms >= CPU_MS_MIN
    return Proposal(
        task.id,
        task.agent_type,
        event.attempt,
        task.resources,
        usage,
        event.overuse,
        max(CORES_STEP, rounded_up(cores, CORES_STEP)) if cores is not None and is_long_enough else None,
        None if usage.memory_mb is None else rounded_up(usage.memory_mb * MARGIN, MEMORY_STEP_MB),
    )


def rounded_up(amount: float, step: float) -> float:
    """Return the amount in whole steps, rounded up without the noise of fractions."""
    return ceil(round(amount / step, 6)) * step
