"""Goal: schedules that are feasible, never worse than what they came from, and come about as planned."""

from __future__ import annotations

from math import nan
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from talka_core.builder import WorkflowBuilder
from talka_core.search import Project, baseline_of, begin, fault_of, proceed, project_of, ruled
from talka_core.search.bounds import lower_bound
from talka_core.search.justification import justified
from talka_core.search.rules import RULES
from talka_core.search.schedules import makespan, parallel, serial
from talka_core.simulation import Offer, simulate
from talka_protocols.baseline import Baseline
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow

CAPACITY = {"cpu_cores": 4.0, "gpu_count": 2.0, "slots": 99.0}


def drawn(seed: int, size: int) -> Workflow:
    """Return a workflow of tasks that together want more than there is."""
    random = Random(seed)
    builder = WorkflowBuilder("drawn").set_strategy(Strategy.RESOURCE_OPTIMIZED)
    for number in range(size):
        needs = ResourceRequirements(cpu_cores=random.randint(1, 4), gpu_count=random.randint(0, 2))
        seconds = random.randint(1, 9)
        builder.add_task(Task(f"t{number}", "work", estimated_seconds=seconds, resources=needs))
        for before in random.sample(range(number), min(number, random.randint(0, 2))):
            builder.add_dependency(f"t{before}", f"t{number}")
    return builder.build()


projects = st.builds(drawn, st.integers(0, 10**6), st.integers(2, 25))


def project(workflow: Workflow) -> Project:
    found = project_of(workflow, {"cpu_cores": 4.0, "gpu_count": 2.0})
    return found or Project(
        range(len(workflow.tasks)),
        [round(1000 * (task.estimated_seconds or 0)) for task in workflow.tasks],
        [() for _ in workflow.tasks],
        [() for _ in workflow.tasks],
        (),
    )


def check(found: Project, starts: list[int]) -> None:
    """Assert that nothing begins too early, and that at no instant more is taken than there is."""
    ends = [start + own for start, own in zip(starts, found.durations, strict=True)]
    for task, needed in enumerate(found.predecessors):
        assert starts[task] >= max((ends[before] for before in needed), default=0)
    for instant in starts:
        going = [task for task, start in enumerate(starts) if start <= instant < ends[task]]
        for resource, amount in enumerate(found.capacity):
            assert sum(found.demands[task][resource] for task in going) <= amount


@settings(deadline=None, max_examples=80, derandomize=True)
@given(projects, st.integers(0, 10**6))
def test_every_schedule_can_be_and_justification_makes_none_longer(workflow: Workflow, seed: int) -> None:
    """Both generation schemes, under any ranks, and what forward-backward improvement makes of them."""
    found, random = project(workflow), Random(seed)
    ranks = [random.random() for _ in found.tasks]
    for starts in (parallel(found, ranks), serial(found, range(len(found.tasks)))):
        check(found, starts)
        better = justified(found, starts)
        check(found, better)
        assert lower_bound(found) <= makespan(found, better) <= makespan(found, starts)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(projects, st.integers(0, 99))
def test_the_search_never_gets_worse_and_can_be_interrupted(workflow: Workflow, seed: int) -> None:
    """In one go or in parts, over a stored state or not, the same steps lead to the same schedule."""
    found = project(workflow)
    whole = proceed(found, begin(found, seed), 60)
    part = proceed(found, begin(found, seed), 17)
    stored = msgspec.json.decode(msgspec.json.encode(part), type=type(part))
    again = proceed(found, stored, 43)
    check(found, whole.best)
    assert again == whole
    assert whole.bound <= whole.makespan <= part.makespan
    first = min(makespan(found, parallel(found, rule(found))) for rule in RULES)
    assert whole.makespan <= first


@settings(deadline=None, max_examples=60, derandomize=True)
@given(projects, st.integers(0, 99))
def test_what_was_planned_comes_about(workflow: Workflow, seed: int) -> None:
    """The real actors follow a baseline: no task begins later than it says."""
    found = project_of(workflow, CAPACITY)
    if found is None:
        return
    search = proceed(found, begin(found, seed), 20)
    run = simulate(workflow, [Offer(CAPACITY)], baseline=baseline_of(found, search.best))
    assert run.makespan_s <= search.makespan / 1000
    for number, place in enumerate(found.tasks):
        start_s = run.tasks[workflow.tasks[place].id].start_s
        assert start_s is not None
        assert start_s <= search.best[number] / 1000


def test_where_nothing_is_scarce_there_is_nothing_to_plan() -> None:
    """Neither with room for all, nor with a task that never fits, nor without knowing what there is."""
    workflow = drawn(1, 5)
    assert ruled(workflow, {}) is None
    assert ruled(workflow, {"cpu_cores": 1_000.0}) is None
    assert ruled(workflow, {"cpu_cores": 0.5}) is None


def test_the_parallel_limit_is_a_resource() -> None:
    workflow = drawn(1, 5)
    limited = replace(workflow, config=replace(workflow.config, max_parallel=1))
    found = ruled(limited, {"cpu_cores": 1_000.0})
    assert found is not None
    assert found.makespan_s == sum(task.estimated_seconds or 0 for task in workflow.tasks)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (Baseline((1.0,)), "has 1 tasks, the workflow 3"),
        (Baseline((3.0, nan, 1.0)), "no number"),
        (Baseline((3.0, 2.0, 1.0), ((0, 3),)), "not among the 3"),
        (Baseline((3.0, 2.0, 1.0), ((0, 1), (1, 0))), "t0 -> t1 -> t0"),
    ],
)
def test_a_baseline_that_cannot_be_followed_is_refused(baseline: Baseline, said: str) -> None:
    workflow = WorkflowBuilder("three").set_strategy(Strategy.RESOURCE_OPTIMIZED)
    for number in range(3):
        workflow.add_task(Task(f"t{number}", "work"))
    with pytest.raises(WorkflowInvalidError, match=said):
        simulate(workflow.build(), [Offer({})], baseline=baseline)


def test_only_the_strategy_that_plans_follows_a_plan() -> None:
    workflow = drawn(1, 3)
    other = replace(workflow, config=replace(workflow.config, strategy=Strategy.DEPTH_FIRST))
    assert "not depth_first" in fault_of(other, Baseline((1.0, 1.0, 1.0)))


def test_links_give_way_when_something_goes_otherwise() -> None:
    """A task that overruns holds up those that follow it by the baseline; a worker that leaves ends that."""
    builder = WorkflowBuilder("linked").set_strategy(Strategy.RESOURCE_OPTIMIZED)
    one = ResourceRequirements(cpu_cores=1)
    for name in ("first", "second"):
        builder.add_task(Task(name, "work", estimated_seconds=5.0, resources=one))
    baseline = Baseline((10.0, 5.0), ((0, 1),), 10.0)
    run = simulate(builder.build(), [Offer({"cpu_cores": 2.0})], baseline=baseline)
    assert run.tasks["second"].start_s == 5.0
    free = simulate(builder.build(), [Offer({"cpu_cores": 2.0})], baseline=Baseline((10.0, 5.0)))
    assert free.tasks["second"].start_s == 0.0
