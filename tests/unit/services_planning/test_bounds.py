"""Goal: no schedule beats a lower bound. Method: the exact solver looks for one that would."""

from __future__ import annotations

import pytest
from tests.unit.core_search.test_disjunctive import shop
from tests.unit.core_search.test_search import drawn, project

from talka_core.builder import WorkflowBuilder
from talka_core.graph import analyse
from talka_core.graph import lower_bound as graph_bound
from talka_core.search import Project
from talka_core.search.bounds import lower_bound, resource_bound
from talka_core.search.rules import best_ranks
from talka_core.search.schedules import parallel
from talka_core.search.windows import window_of
from talka_core.validation import check
from talka_protocols.policies import Join
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow

pytest.importorskip("ortools")

from talka_services.planning.solver import solved


@pytest.mark.parametrize("seed", range(30))
def test_no_schedule_is_shorter_than_the_bound(seed: int) -> None:
    """Neither of tasks that share resources, nor of a shop; the solver proves it each time."""
    for found in (project(drawn(seed, 3 + seed % 9)), shop(1 + seed % 4, 1 + seed % 3, seed)):
        bound = lower_bound(found)
        if bound:
            starts = parallel(found, best_ranks(found)[1])
            shorter = window_of(found, starts, 0, len(starts), bound - 1)
            assert solved(found, shorter, 1.0, 10.0) is False


def test_what_has_to_come_before_and_after_counts() -> None:
    """Two tasks of 3 s on one machine, each with 2 s before it and 4 s behind it: 2 + 6 + 4."""
    found = Project(
        range(6),
        [2, 2, 3, 3, 4, 4],
        [(), (), (0,), (1,), (2,), (3,)],
        [(0,), (0,), (1,), (1,), (0,), (0,)],
        (1,),
    )
    assert lower_bound(found) == 12


def test_the_bound_of_a_workflow_is_better_than_path_and_work() -> None:
    """It says nothing where a task may begin before all that it depends on, or of tenths of milliseconds."""
    capacity = {"cpu_cores": 1.0}
    assert resource_bound(_two_chains(), capacity) == 12.0
    workflow = _two_chains()
    assert graph_bound(workflow, analyse(workflow), capacity) == 9.0
    assert resource_bound(_two_chains(3.00001), capacity) == 0.0
    assert resource_bound(_two_chains(join=Join.ANY), capacity) == 0.0
    assert resource_bound(_two_chains(), {"cpu_cores": 4.0}) == 0.0


def _two_chains(seconds: float = 3.0, join: Join = Join.ALL) -> Workflow:
    builder = WorkflowBuilder("chains").set_strategy(Strategy.RESOURCE_OPTIMIZED)
    one = ResourceRequirements(cpu_cores=1.0)
    for chain in "ab":
        builder.add_task(Task(f"{chain}1", "work", estimated_seconds=2.0))
        builder.add_task(Task(f"{chain}2", "work", estimated_seconds=seconds, resources=one))
        builder.add_task(Task(f"{chain}3", "work", estimated_seconds=4.0, join=join))
        builder.add_dependency(f"{chain}1", f"{chain}2").add_dependency(f"{chain}2", f"{chain}3")
    return check(builder.build())
