"""Runs on record, as forecasts use them: executions of ours, or traces of other systems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import log

from msgspec import Struct, field

from talka_core.forecast.model import Model, Prediction, guess
from talka_core.forecast.observations import Observation, features_of, kind_of
from talka_core.graph import duration_of
from talka_core.payloads import KINDS
from talka_core.scheduler.state import ExecutionRecord
from talka_core.simulation import Offer, Recorded, within
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Task, Workflow

_TIMED_KINDS = frozenset({"signal", "approval", "workflow"})
"""Tasks that no worker runs, and whose length nobody decided beforehand."""


class Run(Struct, frozen=True):
    """What is known of one run: its workflow, what was measured of its tasks by id, and its workers.

    ``features`` are numbers known before a task runs besides those in its
    payload; ``busy`` is the share of the time in which it kept a core busy.
    ``makespan_s`` is None where it is not over or did not succeed.
    """

    id: str
    workflow: Workflow
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    features: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    busy: dict[str, float] = field(default_factory=dict[str, float])
    memory_mb: dict[str, float] = field(default_factory=dict[str, float])
    offers: tuple[Offer, ...] = ()
    shared: dict[str, float] = field(default_factory=dict[str, float])
    makespan_s: float | None = None


def run_of(state: ExecutionRecord, found: Recorded) -> Run:
    """Return an execution as a run; only tasks that succeeded by themselves count as measured."""
    is_whole = found.run is not None and found.run.status == "succeeded"
    measured = [task.id for task in found.workflow.tasks if _is_measured(state, task)]
    usage = {task_id: state.usage[task_id].usage for task_id in measured if task_id in state.usage}
    return Run(
        state.execution_id,
        within(found.workflow, found.quota),
        {task_id: found.seconds[task_id] for task_id in measured},
        busy={task_id: used.cores for task_id, used in usage.items() if used.cores is not None},
        memory_mb={task_id: used.memory_mb for task_id, used in usage.items() if used.memory_mb is not None},
        offers=found.offers,
        shared=found.shared,
        makespan_s=found.run.makespan_s if found.run is not None and is_whole else None,
    )


def _is_measured(state: ExecutionRecord, task: Task) -> bool:
    record = state.tasks[task.id]
    is_own = state.started_at <= record.started_at <= record.finished_at
    is_timed = record.scheduled_at > 0 or task.agent_type in _TIMED_KINDS
    return record.status is TaskStatus.SUCCEEDED and is_own and is_timed and task.id not in state.maps


def durations(runs: Iterable[Run]) -> Model:
    """Return what runs say about run times, in seconds."""
    return Model(seen for run in runs for seen in _observed(run, run.seconds))


def memory(runs: Iterable[Run]) -> Model:
    """Return what runs say about memory, in MiB."""
    return Model(seen for run in runs for seen in _observed(run, run.memory_mb))


def _observed(run: Run, values: Mapping[str, float]) -> Iterator[Observation]:
    for task in run.workflow.tasks:
        if task.id in values:
            yield Observation(
                kind_of(run.workflow.name, task),
                run.id,
                values[task.id],
                inputs_of(run, task),
                run.busy.get(task.id),
            )


def inputs_of(run: Run, task: Task) -> dict[str, float]:
    """Return the numbers that were known of a task before it ran."""
    return features_of(task) | run.features.get(task.id, {})


def predicted(run: Run, model: Model) -> dict[str, Prediction]:
    """Return the distribution of each task's run time, by id; where nothing like it ran, its estimate.

    What waits for an instant or a while waits as long as it says, so it has none.
    """
    found: dict[str, Prediction] = {}
    for task in run.workflow.tasks:
        if task.agent_type in KINDS and task.agent_type not in _TIMED_KINDS:
            continue
        kind = kind_of(run.workflow.name, task)
        prediction = model.predict(kind, inputs_of(run, task))
        if prediction is not None:
            found[task.id] = prediction
        elif task.agent_type not in KINDS or task.estimated_seconds:
            found[task.id] = guess(kind, duration_of(task))
    return found


def covered(
    predictions: Mapping[str, Prediction], values: Mapping[str, float], share: float
) -> tuple[int, int]:
    """Return how many values lie in the middle ``share`` of what was predicted, and of how many."""
    both = [(predictions[task_id], value) for task_id, value in values.items() if task_id in predictions]
    low, high = (1 - share) / 2, (1 + share) / 2
    inside = sum(found.quantile(low) <= value <= found.quantile(high) for found, value in both)
    return inside, len(both)


def logarithm(seconds: float) -> float:
    """Return the logarithm of a time; nothing takes less than a millisecond."""
    return log(max(seconds, 1e-3))
