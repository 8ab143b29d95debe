"""Goal: laws that hold for any workflow, with networkx as the second opinion.

Method: acyclic workflows are generated whose document order says nothing about their topological order.
"""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from talka_core.dataflow import undetectable
from talka_core.graph import CyclicGraphError, TaskGraph, analyse, plan
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow

seconds = st.floats(0.0, 1e4, allow_nan=False, width=32)


@st.composite
def workflows(draw: st.DrawFn, max_size: int = 12) -> Workflow:
    """Draw an acyclic workflow whose document order says nothing about its topological order."""
    count = draw(st.integers(1, max_size))
    order = draw(st.permutations(range(count)))
    edges = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=3 * count))
    tasks = tuple(
        Task(
            id=f"t{position}",
            agent_type="sleep",
            payload={"seconds": draw(seconds)},
            resources=ResourceRequirements(cpu_cores=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0]))),
        )
        for position in range(count)
    )
    dependencies = tuple(
        Dependency(f"t{order[min(pair)]}", f"t{order[max(pair)]}")
        for pair in sorted(edges)
        if pair[0] != pair[1]
    )
    return Workflow(id="generated", name="generated", tasks=tasks, dependencies=dependencies)


@settings(deadline=None)
@given(workflows())
def test_levels_respect_edges(workflow: Workflow) -> None:
    """Every task stands after all it needs, as early as possible, as networkx says too."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(task.id for task in workflow.tasks)
    graph.add_edges_from((edge.from_task, edge.to_task) for edge in workflow.dependencies)
    analysis = analyse(workflow)
    assert [set(stage) for stage in analysis.stages] == [set(g) for g in nx.topological_generations(graph)]


@settings(deadline=None)
@given(workflows())
def test_paths_and_bounds(workflow: Workflow) -> None:
    """The critical path is a path of the graph, takes what it says, and no bound is below it."""
    analysis = analyse(workflow)
    pairs = {(edge.from_task, edge.to_task) for edge in workflow.dependencies}
    path = analysis.critical_path
    assert all(pair in pairs for pair in pairwise(path))
    assert sum(analysis.durations[t] for t in path) == pytest.approx(analysis.critical_seconds)
    assert all(
        analysis.earliest_start[a] + analysis.remaining[a] <= analysis.critical_seconds * (1 + 1e-9) + 1e-9
        for a in analysis.durations
    )
    assert analysis.critical_seconds <= plan(workflow, {"cpu_cores": 1.0}).lower_bound


@settings(deadline=None)
@given(workflows(), st.data())
def test_planted_cycle_is_found(workflow: Workflow, data: st.DataObject) -> None:
    """An edge that closes a path is always found, and the cycle that is named is one."""
    graph = TaskGraph.of(workflow)
    start = data.draw(st.sampled_from(graph.ids))
    end = data.draw(st.sampled_from(sorted(graph.downstream([start]) | {start})))
    edges = [(edge.from_task, edge.to_task) for edge in workflow.dependencies] + [(end, start)]
    with pytest.raises(CyclicGraphError) as caught:
        TaskGraph(graph.ids, edges).levels()
    cycle = caught.value.cycle
    assert cycle[0] == cycle[-1]
    assert all(pair in edges for pair in pairwise(cycle))
    assert len(set(cycle)) == len(cycle) - 1


@settings(deadline=None)
@given(workflows())
def test_detection_is_idempotent(workflow: Workflow) -> None:
    """A checked workflow checks to itself, and what its tasks imply need not be written down."""
    checked = check(workflow)
    assert check(checked) == checked
    assert undetectable(checked) == checked.dependencies
    assert undetectable(check(replace(checked, dependencies=()))) == ()


@settings(deadline=None)
@given(workflows(), st.data())
def test_workflow_with_a_planted_cycle(workflow: Workflow, data: st.DataObject) -> None:
    """Whatever edge closes a path, the workflow is refused as cyclic and not run for ever."""
    if not workflow.dependencies:
        return
    edge = data.draw(st.sampled_from(workflow.dependencies))
    back = Dependency(edge.to_task, edge.from_task)
    with pytest.raises(WorkflowInvalidError) as caught:
        check(replace(workflow, dependencies=(*workflow.dependencies, back)))
    assert caught.value.code == "cycle"
