"""Goal: of many drawn runs, as many end within a forecast as it says, before they begin and on their way.

Method: random graphs, the tasks of which vary, whole runs of which drift, are simulated; what happened
in some runs is the history from which the next is forecast, at its begin and at half of its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import exp
from random import Random

import pytest
from msgspec.structs import replace

from talka_chaos.graphs import random_workflow
from talka_core.forecast import (
    Forecast,
    Model,
    Run,
    durations,
    errors_of,
    forecast,
    overhead_of,
    predicted,
    rest_of,
)
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.index import index_of
from talka_core.scheduler.state import TaskRecord
from talka_core.simulation import Offer, SimulatedRun, simulate
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

OFFERS = (Offer({"cpu_cores": 4.0}), Offer({"cpu_cores": 4.0}))
BEGAN_MS = 1_000_000
PAST = 4
WORLDS = 60


def _drawn(random: Random, workflow: Workflow, run: str) -> tuple[Run, SimulatedRun]:
    kinds = sorted({task.name for task in workflow.tasks})
    drift = {kind: random.gauss(0, 0.1) for kind in kinds}
    level = {kind: 5.0 * (1 + number) for number, kind in enumerate(kinds)}
    seconds = {
        task.id: round(level[task.name] * exp(drift[task.name] + random.gauss(0, 0.3)), 3)
        for task in workflow.tasks
    }
    went = simulate(workflow, OFFERS, None, seconds)
    return Run(run, workflow, seconds, offers=OFFERS, makespan_s=went.makespan_s), went


def _workflow(random: Random) -> Workflow:
    drawn = random_workflow(random, "w", 20)
    tasks = tuple(
        replace(
            task,
            name=random.choice(("fetch", "clean", "train", "score")),
            start_timeout=None,
            estimated_seconds=None,
        )
        for task in drawn.tasks
    )
    return replace(drawn, tasks=tasks)


def _halfway(workflow: Workflow, went: SimulatedRun, now_s: float) -> ExecutionRecord:
    """Return the state of a run at an instant, as far as forecasts look at it."""
    state = ExecutionRecord("e", status=ExecutionState.RUNNING, workflow=workflow, started_at=BEGAN_MS)
    state.index = index_of(workflow)
    for task_id, task in went.tasks.items():
        assert task.start_s is not None
        assert task.end_s is not None
        record = TaskRecord()
        if task.start_s <= now_s:
            record.started_at = BEGAN_MS + round(1000 * task.start_s)
            is_over = task.end_s <= now_s
            record.status = TaskStatus.SUCCEEDED if is_over else TaskStatus.RUNNING
            record.finished_at = BEGAN_MS + round(1000 * task.end_s) if is_over else 0
        state.tasks[task_id] = record
    return state


def _without(past: list[Run], out: Run) -> Model:
    return durations([run for run in past if run is not out])


def _forecasts() -> Iterator[tuple[Forecast, float, Forecast, float]]:
    for world in range(WORLDS):
        random = Random(world)
        workflow = _workflow(random)
        past = [_drawn(random, workflow, str(number))[0] for number in range(PAST)]
        _, went = _drawn(random, workflow, "next")
        model, overhead = durations(past), overhead_of(past)
        errors = errors_of(past, partial(_without, past))
        asked = Run("next", workflow, offers=OFFERS)
        before = forecast(asked, predicted(asked, model), overhead, errors, world)
        now_s = went.makespan_s / 2
        rest = rest_of(_halfway(workflow, went, now_s), BEGAN_MS + round(1000 * now_s))
        left = Run("next", rest.workflow, rest.waits, offers=OFFERS)
        on_its_way = forecast(left, predicted(left, model), overhead, errors, world, rest.drawn)
        yield before, went.makespan_s, on_its_way, went.makespan_s - now_s


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_as_many_end_in_time_as_forecasts_say() -> None:
    """About half of all runs are over by p50, and nine of ten by p90 and within the 90 % interval."""
    found = list(_forecasts())
    before = [(forecast, took) for forecast, took, _, _ in found]
    on_their_way = [(forecast, left) for _, _, forecast, left in found]
    inside = sum(known.quantile(0.05) <= took <= known.quantile(0.95) for known, took in before)
    assert 0.8 <= inside / WORLDS <= 0.97
    for cases in (before, on_their_way):
        assert 0.4 <= _share_within(cases, 0.5) <= 0.7
        assert 0.83 <= _share_within(cases, 0.9) <= 0.98


def _share_within(cases: list[tuple[Forecast, float]], portion: float) -> float:
    return sum(took <= known.quantile(portion) for known, took in cases) / len(cases)
