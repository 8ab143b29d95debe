"""Goal: the order that is planned for deadlines is a good one, always the same, and within its bounds.

Method: small problems are compared with all orders there are; generated graphs are planned for any capacity.
"""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.deadlines import Due, dues_of, has_deadlines, latest_starts, order_of, urgencies
from talka_core.deadlines.dispatching import Dispatcher, Outcome, problem_of, unlimited
from talka_core.deadlines.due import NEVER_S
from talka_core.graph import TaskGraph
from talka_core.strategies import Position, Ranking, planned_order, rank_beside, ranks_of
from talka_protocols.workflow import (
    Dependency,
    ResourceRequirements,
    Strategy,
    Task,
    Workflow,
    WorkflowConfig,
)

BY_DEADLINE = Ranking(Strategy.DEADLINE)


def job(name: str, seconds: float, due: float | None, weight: float = 1.0, cores: float = 1.0) -> Task:
    """Return a task that holds cores for a while and is due at some time."""
    needs = ResourceRequirements(cpu_cores=cores)
    return Task(name, "sleep", estimated_seconds=seconds, deadline=due, weight=weight, resources=needs)


def flow(*tasks: Task, edges: tuple[tuple[str, str], ...] = (), deadline: float | None = None) -> Workflow:
    """Return a workflow whose deadlines decide."""
    config = WorkflowConfig(strategy=Strategy.DEADLINE, deadline=deadline)
    return Workflow("w", "w", tasks, tuple(Dependency(a, b) for a, b in edges), config)


@st.composite
def problems(draw: st.DrawFn, most: int = 12) -> Workflow:
    """Draw a graph whose tasks are due or not, and need up to two cores."""
    count = draw(st.integers(1, most))
    due = st.none() | st.integers(0, 40).map(float)
    tasks = [
        job(
            str(number),
            float(draw(st.integers(0, 9))),
            draw(due),
            float(draw(st.integers(0, 9))),
            float(draw(st.integers(0, 2))),
        )
        for number in range(count)
    ]
    pairs = [(str(a), str(b)) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=count)) if pairs else []
    return flow(*tasks, edges=tuple(edges), deadline=draw(due))


def test_what_nothing_follows_is_due_with_the_execution() -> None:
    """The execution's deadline is that of its last tasks, unless they are due earlier."""
    tasks = (job("a", 1, None), job("b", 1, 5, 3), job("c", 1, 99, 2))
    found = dues_of(flow(*tasks, edges=(("a", "b"), ("a", "c")), deadline=30))
    assert found == {"b": Due(5, 3), "c": Due(30, 2)}


def test_latest_starts_lead_back_from_what_is_due() -> None:
    """A task has to start early enough for all that follows; one with nothing due behind it never has to."""
    workflow = flow(job("a", 2, None), job("b", 3, 10), job("c", 4, None), edges=(("a", "b"), ("a", "c")))
    dues = dues_of(workflow)
    latest = latest_starts(TaskGraph.of(workflow), [2, 3, 4], [dues.get(each) for each in "abc"])
    assert latest == [5, 7, NEVER_S]
    assert urgencies([2, 0, 1], latest) == [5, 7, 5]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(problems(most=6))
def test_small_problems_are_solved(workflow: Workflow) -> None:
    """Of up to six tasks the order found is as good as the best of all orders."""
    dispatcher = Dispatcher(problem_of(workflow, {"cpu_cores": 2.0}))
    best = min(dispatcher.dispatch(order).tardiness for order in permutations(range(len(workflow.tasks))))
    found = order_of(workflow, {"cpu_cores": 2.0})
    assert dispatcher.dispatch(found).tardiness == best


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    problems(), st.sampled_from([{}, {"cpu_cores": 2.0}, {"cpu_cores": 1.0}, {"slots": 1.0}, {"slots": 0.0}])
)
def test_every_order_is_one_of_all_tasks(workflow: Workflow, capacity: dict[str, float]) -> None:
    """Each task stands in the order once, which is no worse than the earliest latest start first."""
    found = order_of(workflow, capacity, 2_000)
    assert sorted(found) == list(range(len(workflow.tasks)))
    assert found == order_of(workflow, capacity, 2_000)
    problem = problem_of(workflow, capacity)
    dispatcher = Dispatcher(problem)
    outcome = dispatcher.dispatch(found)
    assert unlimited(problem).tardiness <= outcome.tardiness
    if has_deadlines(workflow):
        ranks = ranks_of(workflow, {}, BY_DEADLINE)
        by_latest_start = sorted(range(len(ranks)), key=lambda position: ranks[str(position)])
        assert outcome.tardiness <= dispatcher.dispatch(by_latest_start).tardiness


def test_earliest_due_date_is_not_enough() -> None:
    """A heavy short task goes before one that is due earlier and late anyhow."""
    workflow = flow(job("long", 10, 1), job("heavy", 1, 2, 100))
    assert order_of(workflow, {"cpu_cores": 1.0}) == (1, 0)
    assert Dispatcher(problem_of(workflow, {"cpu_cores": 1.0})).dispatch((1, 0)) == Outcome(10_000, 11_000)


def test_the_work_is_bounded() -> None:
    """A thousand tasks of which most are late cost little more looks than are allowed."""
    tasks = [job(str(number), 1 + number % 7, number % 50, 1 + number % 3) for number in range(1000)]
    dispatcher = Dispatcher(problem_of(flow(*tasks), {"cpu_cores": 8.0}))
    once = dispatcher.dispatch(range(1000))
    looks = dispatcher.looks
    found = Dispatcher(problem_of(flow(*tasks), {"cpu_cores": 8.0})).dispatch(
        order_of(flow(*tasks), {"cpu_cores": 8.0}, 20 * looks)
    )
    assert found < once


def test_ranks_follow_the_order() -> None:
    """The ranks of a planned workflow are in its order, under the common first part."""
    workflow = flow(job("a", 2, 3), job("b", 2, 2), job("c", 2, None))
    order = planned_order(workflow, {"cpu_cores": 1.0})
    assert order == (1, 0, 2)
    assert ranks_of(workflow, {}, Ranking(Strategy.DEADLINE, order=order)) == {
        "b": (-100.0, 0.0, 0.0),
        "a": (-100.0, 1.0, 1.0),
        "c": (0.0, NEVER_S, 2.0),
    }


def test_urgency_is_worth_priority() -> None:
    """Among other executions a task counts the more, the sooner it has to start."""
    workflow = flow(job("a", 2, 62), job("b", 2, 1502 + 60), job("c", 2, 9000), job("d", 2, 0))
    assert {task_id: rank[0] for task_id, rank in ranks_of(workflow, {}, BY_DEADLINE).items()} == {
        "d": -100.0,
        "a": -98.0,
        "b": -48.0,
        "c": 0.0,
    }


def test_without_deadlines_nothing_is_planned() -> None:
    """Where nothing is due there is no order, and the least slack goes first."""
    workflow = flow(job("a", 2, None), job("b", 3, None))
    assert planned_order(workflow, {}) == ()
    positions = {"a": Position(0, 2, 1, 0), "b": Position(0, 3, 0, 1)}
    assert ranks_of(workflow, positions, BY_DEADLINE) == {"a": (-50.0, 1.0, 0.0), "b": (-50.0, 0.0, 1.0)}


def test_added_tasks_go_with_the_one_they_came_from() -> None:
    """A task that was added ranks behind its origin, and before what follows that one."""
    workflow = flow(job("a", 2, 9), job("b", 3, 10))
    ranks = ranks_of(workflow, {}, Ranking(Strategy.DEADLINE, order=(0, 1)))
    added = rank_beside(workflow, job("a[0]", 1, None), Position(0, 1, 0, 3), BY_DEADLINE, ranks["a"])
    assert ranks["a"] < added < ranks["b"]
