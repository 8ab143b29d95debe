"""What a simulation found out."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from talka_core.deadlines import dues_of, has_deadlines
from talka_core.scheduler import ExecutionRecord
from talka_protocols.states import ExecutionState, TaskStatus


class SimulatedTask(Struct, frozen=True):
    """One task; seconds count from the start of the execution, None for what never happened."""

    status: str
    ready_s: float | None
    start_s: float | None
    end_s: float | None
    worker: str


class SimulatedRun(Struct, frozen=True):
    """One execution as it would go.

    ``lower_bound_s`` is what no schedule can beat, and ``gap`` the share of it by which the
    makespan is longer; None where the bound is 0, or where the execution did not succeed.
    ``utilisation`` is the share of each resource of all workers that was held, on average over
    the makespan. One that ``is_over_time`` takes longer than its time limit, at which a real
    run would be stopped. ``deadline_misses`` counts what ended after its deadline or failed, and
    ``weighted_tardiness_s`` sums up the seconds by which that was late, each times its weight;
    what failed counts to the end of the execution. Both are None where nothing is due.
    """

    status: str
    makespan_s: float
    lower_bound_s: float
    gap: float | None
    utilisation: dict[str, float]
    is_over_time: bool
    deadline_misses: int | None
    weighted_tardiness_s: float | None
    tasks: dict[str, SimulatedTask]


def summed_up(
    record: ExecutionRecord,
    lower_bound_s: float,
    capacity: Mapping[str, float],
    began: Mapping[str, int],
) -> SimulatedRun:
    """Return what one finished execution came to.

    Args:
        record: The execution's state at its end.
        lower_bound_s: Of its workflow on these workers.
        capacity: Of all workers together, by resource.
        began: When each task began on its worker (milliseconds), by task id.
    """
    first = record.started_at
    tasks = {
        task_id: SimulatedTask(
            str(task.status),
            _since(first, task.ready_at),
            _since(first, began.get(task_id, task.started_at)),
            _since(first, task.finished_at),
            task.worker_id,
        )
        for task_id, task in record.tasks.items()
    }
    makespan_s = (record.finished_at - first) / 1000
    misses, tardiness = _lateness(record, tasks, makespan_s)
    held: dict[str, float] = {}
    for task_id, begun in began.items():
        seconds = (record.tasks[task_id].finished_at - begun) / 1000
        for name, amount in record.index.amounts[task_id].items():
            held[name] = held.get(name, 0.0) + amount * seconds
    return SimulatedRun(
        str(record.status),
        makespan_s,
        lower_bound_s,
        _gap(makespan_s, lower_bound_s) if record.status is ExecutionState.SUCCEEDED else None,
        {
            name: held.get(name, 0.0) / (amount * makespan_s)
            for name, amount in sorted(capacity.items())
            if amount > 0 and makespan_s > 0 and name in held
        },
        0 < record.limit_ms < record.finished_at - first,
        misses,
        tardiness,
        tasks,
    )


def _lateness(
    record: ExecutionRecord, tasks: Mapping[str, SimulatedTask], makespan_s: float
) -> tuple[int | None, float | None]:
    assert record.workflow is not None, "a finished execution was accepted"
    if not has_deadlines(record.workflow):
        return None, None
    misses, tardiness = 0, 0.0
    for task_id, due in dues_of(record.workflow).items():
        task = tasks[task_id]
        has_failed = task.status in (TaskStatus.FAILED, TaskStatus.TIMED_OUT)
        if task.status == TaskStatus.SUCCEEDED or has_failed:
            end_s = makespan_s if has_failed or task.end_s is None else task.end_s
            late = max(0.0, end_s - due.seconds)
            misses += late > 0 or has_failed
            tardiness += due.weight * late
    return misses, round(tardiness, 6)


def _gap(makespan_s: float, lower_bound_s: float) -> float | None:
    """Return the gap without the noise of binary fractions, which may lie below nothing."""
    return round(makespan_s / lower_bound_s - 1, 9) + 0.0 if lower_bound_s > 0 else None


def _since(first: int, instant: int) -> float | None:
    return (instant - first) / 1000 if instant else None
