"""What tasks of a kind should ask for, from what those of many executions used.

The 95th percentile is the smallest value seen that at least 95 % lie at or
below, the largest one as long as fewer than twenty are known; so one hog among
a thousand does not decide for all, and what was seen once decides alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from msgspec import Struct, field

from talka_core.forecast.observations import Kind, kind_of
from talka_core.scheduler.state import ExecutionRecord
from talka_core.scheduler.usage import CORES_STEP, CPU_MS_MIN, MARGIN, MEMORY_STEP_MB, rounded_up

SHARE = 0.95


class Requirement(Struct, frozen=True):
    """What tasks of one kind used and asked for, and what to ask for instead; None where nothing says.

    ``asked_*`` is the most that any of them asks for, ``overused`` how many used more than they asked for.
    """

    kind: Kind
    tasks: int
    overused: int
    asked_cpu_cores: float
    asked_memory_mb: float
    cpu_cores: float | None
    memory_mb: float | None
    proposed_cpu_cores: float | None
    proposed_memory_mb: float | None


class _Seen(Struct):
    tasks: int = 0
    overused: int = 0
    asked_cpu_cores: float = 0.0
    asked_memory_mb: float = 0.0
    cores: list[float] = field(default_factory=list[float])
    memory_mb: list[float] = field(default_factory=list[float])


def requirements(states: Iterable[ExecutionRecord]) -> tuple[Requirement, ...]:
    """Return what tasks of each kind should ask for; a task counts by its last attempt that was measured."""
    seen: dict[Kind, _Seen] = {}
    for state in states:
        workflow = state.workflow
        for task_id, event in state.usage.items():
            task = state.index.tasks.get(task_id)
            if workflow is None or task is None:
                continue
            known = seen.setdefault(kind_of(workflow.name, task), _Seen())
            known.tasks += 1
            known.overused += bool(event.overuse)
            known.asked_cpu_cores = max(known.asked_cpu_cores, task.resources.cpu_cores)
            known.asked_memory_mb = max(known.asked_memory_mb, task.resources.memory_mb)
            if event.usage.cores is not None and event.usage.wall_ms >= CPU_MS_MIN:
                known.cores.append(event.usage.cores)
            if event.usage.memory_mb is not None:
                known.memory_mb.append(event.usage.memory_mb)
    kinds = sorted(seen, key=lambda kind: (kind.workflow, kind.name, kind.agent_type))
    return tuple(_requirement(kind, seen[kind]) for kind in kinds)


def _requirement(kind: Kind, known: _Seen) -> Requirement:
    cores, memory_mb = percentile(known.cores), percentile(known.memory_mb)
    return Requirement(
        kind,
        known.tasks,
        known.overused,
        known.asked_cpu_cores,
        known.asked_memory_mb,
        cores,
        memory_mb,
        None if cores is None else max(CORES_STEP, rounded_up(cores, CORES_STEP)),
        None if memory_mb is None else rounded_up(memory_mb * MARGIN, MEMORY_STEP_MB),
    )


def percentile(values: Sequence[float], share: float = SHARE) -> float | None:
    """Return the smallest of the values that at least such a share lies at or below; None of none."""
    return sorted(values)[ceil(share * len(values)) - 1] if values else None
