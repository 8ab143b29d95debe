"""Goal: makespans and what is left of a run are forecast by simulation, from any moment of any history."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.core_simulation.golden import HISTORIES, commits_of

from talka_core.builder import WorkflowBuilder
from talka_core.forecast import (
    Overhead,
    Prediction,
    Run,
    covered,
    durations,
    errors_of,
    forecast,
    memory,
    overhead_of,
    predicted,
    rest_of,
)
from talka_core.forecast.drawing import share
from talka_core.forecast.makespan import draws_of
from talka_core.forecast.rest import GATE
from talka_core.history import FOLDS, advance
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.index import index_of
from talka_core.scheduler.state import MapRecord, TaskRecord
from talka_core.simulation import Offer, simulate
from talka_protocols.policies import Join
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Task, Workflow

WIDE = (Offer({"cpu_cores": 64.0}),)
NONE = Overhead(0.0, 0.0)


def _chain(*names: str, **fields: Any) -> Workflow:
    builder = WorkflowBuilder("chain")
    for name in names:
        builder.add_task(Task(name, "python", payload={"call": "m:f"}))
    for before, after in pairwise(names):
        builder.add_dependency(before, after)
    return replace(builder.build(), **fields)


def _run(name: str, seconds: dict[str, float], makespan_s: float) -> Run:
    return Run(name, _chain(*seconds), seconds, offers=WIDE, makespan_s=makespan_s)


def test_a_makespan_is_what_its_tasks_take_and_the_platform() -> None:
    """Ten runs that vary by a few per cent are forecast within a few per cent, overhead included."""
    random = Random(1)
    past: list[Run] = []
    for number in range(10):
        seconds = {name: base * exp(random.gauss(0, 0.03)) for name, base in (("a", 10.0), ("b", 30.0))}
        past.append(_run(str(number), seconds, sum(seconds.values()) + 2.0))
    asked = Run("next", past[0].workflow, offers=WIDE)
    predictions = predicted(asked, durations(past))
    overhead = overhead_of(past)
    assert overhead.seconds == pytest.approx(1.0, rel=0.01)
    errors = errors_of(past, lambda out: durations([run for run in past if run is not out]))
    assert len(errors) == 10
    assert all(abs(error) < 0.1 for error in errors)
    found = forecast(asked, predictions, overhead, errors)
    assert 38 < found.quantile(0.05) < 42 < found.quantile(0.95) < 46
    assert found == forecast(asked, predictions, overhead, errors)
    assert found != forecast(asked, predictions, overhead, errors, seed=1)


def test_errors_widen_a_forecast() -> None:
    """Where earlier forecasts missed by a factor of two, the next one leaves room for that."""
    asked = Run("next", _chain("a"), offers=WIDE)
    predictions = predicted(asked, durations([_run("1", {"a": 10.0}, 10.0)] * 5))
    sure = forecast(asked, predictions, NONE)
    humble = forecast(asked, predictions, NONE, [log(2), -log(2)] * 15)
    assert humble.quantile(0.95) == pytest.approx(2 * exp(sure.centre), rel=0.01)
    assert sure.quantile(0.95) < humble.quantile(0.95)


def test_nothing_on_record_is_a_guess_from_estimates() -> None:
    """Estimates count where nothing like a task ran; what waits for a while waits as long as it says."""
    workflow = replace(
        _chain("a"),
        tasks=(
            Task("a", "python", estimated_seconds=8.0),
            Task("w", "wait", payload={"seconds": 100}),
            Task("s", "signal", payload={"name": "go"}),
        ),
    )
    asked = Run("next", workflow, offers=WIDE)
    predictions = predicted(asked, durations([]))
    assert list(predictions) == ["a"]
    assert predictions["a"].quantile(0.5) == pytest.approx(8.0)
    assert forecast(asked, predictions, NONE).quantile(0.5) == pytest.approx(100, rel=0.01)


def test_memory_and_coverage() -> None:
    """Memory is predicted like run times, and coverage counts what lies inside."""
    past = Run("1", _chain("a", "b"), {}, memory_mb={"a": 100.0, "b": 200.0})
    found = predicted(Run("2", _chain("a", "b")), memory([past]))
    assert found["a"].quantile(0.5) == pytest.approx(100.0)
    assert covered(found, {"a": 101.0, "b": 2000.0, "elsewhere": 1.0}, 0.9) == (1, 2)


def test_large_graphs_are_drawn_less_often() -> None:
    """A forecast of many tasks takes no more simulated tasks than it must."""
    assert [draws_of(count) for count in (1, 200, 400, 10_000)] == [40, 40, 20, 12]


@settings(max_examples=50, derandomize=True)
@given(st.integers(0, 2**40), st.text(max_size=10))
def test_shares_are_even(seed: int, name: str) -> None:
    """Numbers as good as random lie within (0, 1), are the same again, and fill it evenly."""
    drawn = [share(seed, name, number) for number in range(200)]
    assert drawn == [share(seed, name, number) for number in range(200)]
    assert all(0 < each < 1 for each in drawn)
    assert 60 <= sum(each < 0.5 for each in drawn) <= 140
    assert abs(sum(a * b for a, b in pairwise(drawn)) / 199 - 0.25) < 0.12


def _at_every_event(name: str) -> list[ExecutionRecord]:
    """Return the states in which an execution of a history ran, each after one event more."""
    path = next(path for path in HISTORIES if path.stem == name)
    fold = FOLDS[EXECUTION]
    found: list[ExecutionRecord] = []
    for log_name, commits in commits_of(path).items():
        if log_name.kind != EXECUTION:
            continue
        numbered = [(v, e, commit.at) for commit in commits for v, _, e in commit.events()]
        for until in range(1, len(numbered) + 1):
            state: ExecutionRecord = fold.initial(log_name.key)
            for version, event, at in numbered[:until]:
                advance(fold, state, version, event, at)
            if state.started_at and state.status not in FINAL_EXECUTION_STATES and not state.is_rolling_back:
                found.append(state)
    return found


@pytest.mark.parametrize("name", [path.stem for path in HISTORIES])
def test_the_rest_of_every_history_ends(name: str) -> None:
    """After any event of any history, what is left can be simulated, and holds nothing that has ended."""
    for state in _at_every_event(name):
        rest = rest_of(state, max(record.started_at for record in state.tasks.values()) + 500)
        ids = {task.id for task in rest.workflow.tasks} - {GATE}
        assert not any(_is_over(state, task_id) for task_id in ids)
        run = simulate(rest.workflow, [Offer({"cpu_cores": 64.0, "licence": 9.0})], None, rest.waits)
        assert run.status == "succeeded"


def _is_over(state: ExecutionRecord, task_id: str) -> bool:
    over = (TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED)
    return task_id in state.tasks and state.tasks[task_id].status in over


def _state(workflow: Workflow, **records: TaskRecord) -> ExecutionRecord:
    tasks = {task.id: records.get(task.id, TaskRecord()) for task in workflow.tasks}
    state = ExecutionRecord("e", status=ExecutionState.RUNNING, workflow=workflow, tasks=tasks, started_at=1)
    state.index = index_of(workflow)
    return state


def _running(started_at: int) -> TaskRecord:
    return TaskRecord(TaskStatus.RUNNING, attempt=1, started_at=started_at)


def _done() -> TaskRecord:
    return TaskRecord(TaskStatus.SUCCEEDED, started_at=1, finished_at=2)


def test_what_runs_comes_first() -> None:
    """On one core the task that runs ends before the more important one that waits begins."""
    core = {"cpu_cores": 1.0}
    builder = WorkflowBuilder("w")
    for name, priority in (("urgent", 100), ("runs", 0)):
        builder.add_task(Task(name, "python", payload={"call": "m:f"}, priority=priority))
    built = builder.build()
    needs = replace(built.tasks[0].resources, cpu_cores=1.0)
    workflow = replace(built, tasks=tuple(replace(task, resources=needs) for task in built.tasks))
    rest = rest_of(_state(workflow, runs=_running(1_000)), 4_000)
    assert rest.elapsed == {"runs": 3.0}
    run = simulate(rest.workflow, [Offer(core)], None, {"runs": 7.0, "urgent": 5.0})
    assert (run.tasks["runs"].start_s, run.tasks["urgent"].start_s) == (0.0, 7.0)


def test_joins_count_what_has_succeeded() -> None:
    """A join that asks for two of three needs one more if one has succeeded, and none if it is satisfied."""
    workflow = replace(
        _chain("a", "b"),
        tasks=(
            *(Task(name, "python", payload={"call": "m:f"}) for name in ("a", "b", "c")),
            Task("two", "python", payload={"call": "m:f"}, join=2, dependencies=("a", "b", "c")),
            Task("any", "python", payload={"call": "m:f"}, join=Join.ANY, dependencies=("a", "b")),
        ),
        dependencies=(),
    )
    builder = WorkflowBuilder("w")
    for task in workflow.tasks:
        builder.add_task(task)
    rest = rest_of(_state(builder.build(), a=_done()), 10)
    tasks = {task.id: task for task in rest.workflow.tasks}
    needs = {(edge.from_task, edge.to_task) for edge in rest.workflow.dependencies}
    assert tasks["two"].join == 1
    assert needs == {(GATE, "b"), (GATE, "c"), ("b", "two"), ("c", "two"), (GATE, "any")}


def test_deadlines_come_nearer() -> None:
    """What is due a minute after the start is due 20 s from now after 40 s; what was missed, at once."""
    workflow = _chain("a", "b")
    first, second = workflow.tasks
    config = replace(workflow.config, deadline=30.0)
    tasks = (replace(first, deadline=60.0), second)
    rest = rest_of(_state(replace(workflow, tasks=tasks, config=config), a=_running(1_000)), 40_001)
    found = {task.id: task.deadline for task in rest.workflow.tasks}
    assert found == {GATE: None, "a": 20.0, "b": None}
    assert rest.workflow.config.deadline == 0.001


def test_items_to_come_are_counted() -> None:
    """Of a map that lets two run at once, the items that are no tasks yet are left, too."""
    name = "map_over_items"
    states = [state for state in _at_every_event(name) if any(p.added for p in state.maps.values())]
    assert states
    for state in states:
        for map_id, progress in state.maps.items():
            if not progress.added or _is_over(state, map_id):
                continue
            state.maps[map_id] = MapRecord(
                progress.items + 2, progress.added, progress.ended, progress.failed
            )
            ids = [task.id for task in rest_of(state, 10).workflow.tasks]
            assert {f"{map_id}[{progress.items}]", f"{map_id}[{progress.items + 1}]"} <= set(ids)


def test_what_runs_takes_longer_than_it_has() -> None:
    """The rest of a task shrinks while it runs as expected, and goes on beyond all records."""
    found = Prediction(log(10.0), 0.2, 0.0, tuple(number / 10 for number in range(-20, 21)), 41, "k")
    state = _state(_chain("a"), a=_running(1_000))
    rests = [rest_of(state, 1_000 + 1_000 * elapsed).drawn("a", found, 0.5, 0.5) for elapsed in range(1, 30)]
    assert rests[0] == pytest.approx(9.0, abs=0.1)
    assert rests[7] < rests[3] < rests[0]
    assert all(rest > 0 for rest in rests)
    assert rests[-1] > rests[15]
