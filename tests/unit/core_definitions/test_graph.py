"""Goal: stages, paths, slack and bounds agree with networkx and with their own definitions."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from talka_core.graph import CyclicGraphError, TaskGraph, analyse, duration_of, plan
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow, WorkflowConfig


def _sleep(task_id: str, seconds: float, cores: float = 0.0, *needs: str) -> Task:
    resources = ResourceRequirements(cpu_cores=cores)
    return Task(task_id, "sleep", payload={"seconds": seconds}, resources=resources, dependencies=needs)


def _workflow(*tasks: Task) -> Workflow:
    edges = tuple(Dependency(needed, task.id) for task in tasks for needed in task.dependencies)
    return Workflow(id="w", name="w", tasks=tasks, dependencies=edges)


DIAMOND = _workflow(
    _sleep("a", 1, 1), _sleep("b", 5, 2, "a"), _sleep("c", 2, 1, "a"), _sleep("d", 1, 1, "b", "c")
)


def test_diamond() -> None:
    """A diamond has three stages, its long side is critical, and its short side has slack."""
    analysis = analyse(DIAMOND)
    assert analysis.stages == (("a",), ("b", "c"), ("d",))
    assert analysis.critical_path == ("a", "b", "d")
    assert analysis.critical_seconds == 7
    assert analysis.slack == {"a": 0, "b": 0, "c": 3, "d": 0}
    assert analysis.remaining == {"a": 7, "b": 6, "c": 3, "d": 1}
    assert analysis.parallelism_factor == pytest.approx(9 / 7)


def test_plan_peak_and_bounds() -> None:
    """A plan tells the peak of an unhindered run, and its bound grows as capacity shrinks."""
    unlimited = plan(DIAMOND)
    assert unlimited.resource_requirements == ResourceRequirements(cpu_cores=3.0)
    assert unlimited.lower_bound == unlimited.estimated_duration == 7
    assert plan(DIAMOND, {"cpu_cores": 1.0}).lower_bound == 14
    assert plan(DIAMOND, {"memory_mb": 0.0}).lower_bound == 7
    assert plan(DIAMOND, {"cpu_cores": 0.0}).lower_bound == float("inf")


def test_parallelism_limits() -> None:
    """The most tasks at once is a capacity too: one at a time takes all the work."""
    one = replace(DIAMOND, config=WorkflowConfig(max_parallel=1))
    assert plan(one).lower_bound == 9
    assert plan(DIAMOND, {"slots": 1.0}).lower_bound == 9


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task("t", "sleep", payload={"seconds": 3}), 3.0),
        (Task("t", "sleep", payload={"seconds": 3}, estimated_seconds=0.5), 0.5),
        (Task("t", "sleep", payload={"seconds": "${a.b}"}), 1.0),
        (Task("t", "command", payload={"seconds": 3}), 1.0),
    ],
)
def test_duration(task: Task, expected: float) -> None:
    """An estimate counts first, then a sleep's own length, then one second."""
    assert duration_of(task) == expected


def test_reachability() -> None:
    """Upstream and downstream are transitive and leave out the tasks asked about."""
    graph = TaskGraph.of(DIAMOND)
    assert graph.downstream(["a"]) == {"b", "c", "d"}
    assert graph.upstream(["d"]) == {"a", "b", "c"}
    assert graph.downstream(["b", "d"]) == frozenset()


def test_cycle_is_named_shortest_and_from_its_first_task() -> None:
    """Of several cycles, the shortest through the earliest task on one is named."""
    edges = [("x", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("c", "b"), ("d", "y")]
    with pytest.raises(CyclicGraphError) as caught:
        TaskGraph(["x", "y", "d", "b", "c"], edges).levels()
    assert str(caught.value) == "d -> b -> c -> d"
