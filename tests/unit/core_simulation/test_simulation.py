"""Goal: a simulated run keeps to every rule that a real one keeps to, and says what stands in its way."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from talka_chaos.branches import with_control_flow
from talka_chaos.graphs import random_workflow
from talka_core.builder import WorkflowBuilder
from talka_core.simulation import Offer, SimulatedRun, SimulationStuckError, simulate
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Join, MapOver
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow
from talka_services.formats import load

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
TWO = (Offer({"cpu_cores": 2.0}), Offer({"cpu_cores": 3.3}))
seeds = st.integers(0, 1_000_000)


def _task(name: str, seconds: float, cores: float = 0.0, **more: object) -> Task:
    needs = ResourceRequirements(cpu_cores=cores)
    return Task(name, "sleep", payload={"seconds": seconds}, resources=needs, **more)  # type: ignore[arg-type]


def _built(*tasks: Task, **edges: str) -> Workflow:
    builder = WorkflowBuilder("w")
    for task in tasks:
        builder.add_task(task)
    for after, before in edges.items():
        builder.add_dependency(before, after)
    return builder.build()


def _span(run: SimulatedRun, task_id: str) -> tuple[float, float]:
    task = run.tasks[task_id]
    assert task.start_s is not None
    assert task.end_s is not None
    return task.start_s, task.end_s


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seeds, st.integers(1, 25), st.sampled_from(list(Strategy)), st.sampled_from([None, 1, 3]))
def test_rules_hold(seed: int, size: int, strategy: Strategy, max_parallel: int | None) -> None:
    """No task begins before what it needs has ended, and no worker or limit is ever exceeded."""
    drawn = random_workflow(Random(seed), "e", size)
    config = replace(drawn.config, strategy=strategy, max_parallel=max_parallel)
    # Whoever waits for resources longer than it may does not get its turn.
    tasks = tuple(replace(task, start_timeout=None) for task in drawn.tasks)
    workflow = replace(drawn, tasks=tasks, config=config)
    run = simulate(workflow, TWO)
    assert run.status == "succeeded"
    assert run.makespan_s >= run.lower_bound_s - 1e-9
    for edge in workflow.dependencies:
        assert _span(run, edge.from_task)[1] <= _span(run, edge.to_task)[0]
    needs = {task.id: task.resources.cpu_cores for task in workflow.tasks}
    for instant in {_span(run, task.id)[0] for task in workflow.tasks}:
        going = [t for t in needs if _span(run, t)[0] <= instant < _span(run, t)[1]]
        assert max_parallel is None or len(going) <= max_parallel
        for worker, cores in (("w1", 2.0), ("w2", 3.3)):
            assert sum(needs[t] for t in going if run.tasks[t].worker == worker) <= cores + 1e-9


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seeds, st.integers(1, 25))
def test_same_question_same_answer(seed: int, size: int) -> None:
    """A simulation depends on its arguments alone."""
    first = simulate(random_workflow(Random(seed), "e", size), TWO)
    assert msgspec.json.encode(first) == msgspec.json.encode(
        simulate(random_workflow(Random(seed), "e", size), TWO)
    )


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(1, 25), st.sampled_from([None, 1, 3]))
def test_no_run_beats_the_bound(seed: int, size: int, max_parallel: int | None) -> None:
    """Whatever joins, races and waits there are, the lower bound is one."""
    random = Random(seed)
    drawn = with_control_flow(random, random_workflow(random, "e", size))
    # The bound is one for runs in which every task gets its turn.
    tasks = tuple(replace(task, start_timeout=None) for task in drawn.tasks)
    workflow = replace(drawn, tasks=tasks, config=replace(drawn.config, max_parallel=max_parallel))
    run = simulate(workflow, TWO)
    assert run.status == "succeeded"
    assert run.makespan_s >= run.lower_bound_s - 1e-9


def test_waits_hold_nothing() -> None:
    """Neither the parallel limit nor slots make waits follow each other, so they add nothing to the bound."""
    waits = [Task(f"t{i}", "wait", payload={"seconds": 10}) for i in range(3)]
    workflow = _built(*waits)
    run = simulate(replace(workflow, config=replace(workflow.config, max_parallel=1)), [Offer({}, slots=1)])
    assert run.makespan_s == run.lower_bound_s == 10.0


def test_a_refused_workflow_is_an_error() -> None:
    """What the planner refuses is no run of any length."""
    with pytest.raises(WorkflowInvalidError, match="no tasks"):
        simulate(Workflow("w", "w", ()), TWO)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_can_be_simulated(file: Path) -> None:
    """Every kind of task that the examples show has a place in a simulation."""
    run = simulate(load(file), [Offer({"cpu_cores": 8.0, "memory_mb": 8192.0, "licence": 1.0})])
    assert run.status == "succeeded"
    assert run.gap is not None
    assert run.gap >= 0


def test_priority_decides_what_waits() -> None:
    """On one core the more important task runs first, and the figures say how busy the core was."""
    workflow = _built(_task("low", 1, 1, priority=10), _task("high", 2, 1, priority=90))
    run = simulate(workflow, [Offer({"cpu_cores": 1.0})])
    assert (_span(run, "high"), _span(run, "low")) == ((0.0, 2.0), (2.0, 3.0))
    assert (run.makespan_s, run.lower_bound_s, run.gap) == (3.0, 3.0, 0.0)
    assert run.utilisation == {"cpu_cores": 1.0}


def test_losers_of_a_race_are_stopped() -> None:
    """The task behind a race begins with the first winner, and the losers hold nothing any more."""
    race = _task("after", 1, join=Join.FIRST, dependencies=("fast", "slow"))
    run = simulate(_built(_task("fast", 1), _task("slow", 50), race), TWO)
    assert run.makespan_s == run.lower_bound_s == 2.0
    assert run.tasks["slow"].status == "cancelled"


def test_what_nobody_can_know_is_assumed() -> None:
    """Conditions count as met, maps run once, and an answer comes after the task's estimate."""
    asked = Task("asked", "approval", payload={"question": "Go on?"}, estimated_seconds=5.0)
    chosen = _task("chosen", 1, when="asked.choice == 'yes'", dependencies=("asked",))
    each = _task("each", 2, map=MapOver("${asked.choice}"), dependencies=("asked",))
    run = simulate(_built(asked, chosen, each), TWO)
    assert _span(run, "chosen") == (5.0, 6.0)
    assert _span(run, "each") == (5.0, 7.0)


def test_time_limit_is_told() -> None:
    """A run that would be stopped at its time limit is simulated to its end, and marked."""
    workflow = _built(_task("long", 20))
    limited = replace(workflow, config=replace(workflow.config, timeout=10.0))
    assert simulate(limited, TWO).is_over_time
    assert not simulate(workflow, TWO).is_over_time


def test_pool_wide_amounts_bound_all_workers() -> None:
    """One licence for the whole pool lets one task at a time have it, wherever it runs."""
    needs = ResourceRequirements(custom_resources={"licence": 1})
    tasks = [Task(f"t{i}", "sleep", payload={"seconds": 1}, resources=needs) for i in range(3)]
    run = simulate(_built(*tasks), TWO, {"licence": 1.0})
    assert run.makespan_s == run.lower_bound_s == 3.0


def test_what_nobody_offers_is_named() -> None:
    """A task that no worker can take is an error which names it and what is short."""
    with pytest.raises(SimulationStuckError, match=r"'big' waits\. cpu_cores: 8 asked"):
        simulate(_built(_task("big", 1, 8)), TWO)
    with pytest.raises(SimulationStuckError, match="runs agent type 'sleep'"):
        simulate(_built(_task("any", 1)), ())


def test_labels_count_where_a_worker_has_any() -> None:
    """Two tasks that only one worker may run come one after the other; without labels they need not."""
    tasks = [_task(name, 10.0, 1.0, requires={"zone": "a"}) for name in ("a", "b")]
    labelled = (Offer({"cpu_cores": 1.0}, labels={"zone": "a"}), Offer({"cpu_cores": 1.0}))
    plain = (Offer({"cpu_cores": 1.0}), Offer({"cpu_cores": 1.0}))
    assert simulate(_built(*tasks), labelled).makespan_s == pytest.approx(20.0, abs=0.2)
    assert simulate(_built(*tasks), plain).makespan_s == pytest.approx(10.0, abs=0.2)
    with pytest.raises(SimulationStuckError):
        simulate(_built(*tasks), (Offer({"cpu_cores": 1.0}, labels={"zone": "b"}),))


@pytest.mark.parametrize(("is_preemptible", "due_at_s"), [(True, 8.0), (False, 65.0)])
def test_preempted_work_goes_on_where_it_was(*, is_preemptible: bool, due_at_s: float) -> None:
    """A deadline is met by stopping the only core's long task for it, whose time until then is not lost."""
    tasks = (
        _task("long", 60.0, 1.0, is_preemptible=is_preemptible),
        _task("first", 1.0),
        _task("due", 5.0, 1.0, deadline=10.0),
    )
    workflow = _built(*tasks, due="first")
    planned = replace(workflow, config=replace(workflow.config, strategy=Strategy.DEADLINE))
    run = simulate(planned, [Offer({"cpu_cores": 1.0})])
    assert run.makespan_s == 65.0
    assert run.tasks["due"].end_s == due_at_s
    assert run.deadline_misses == (0 if is_preemptible else 1)


def test_what_the_plan_lets_be_late_does_not_overtake_what_it_puts_first() -> None:
    """The light task is late anyway: it is no remedy that it goes first when its deadline is threatened."""
    builder = WorkflowBuilder("w").set_strategy("deadline")
    for name, seconds, due, weight in (("light", 50, 20, 1), ("one", 30, 30, 100), ("other", 30, 80, 100)):
        task = Task(
            name, "sleep", payload={"seconds": seconds}, resources=ResourceRequirements(cpu_cores=1.0)
        )
        builder.add_task(replace(task, deadline=float(due), weight=float(weight)))
    run = simulate(builder.build(), [Offer({"cpu_cores": 1.0})])
    assert (run.deadline_misses, run.weighted_tardiness_s) == (1, 90.0)
