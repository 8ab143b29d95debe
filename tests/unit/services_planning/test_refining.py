"""Goal: windows lead to the optimum of small projects, and their solver never returns what cannot be."""

from __future__ import annotations

import pytest
from tests.unit.core_search.test_search import CAPACITY, check, drawn, project

from talka_core.search import begin, proceed, project_of
from talka_core.search.bounds import lower_bound
from talka_core.search.windows import window_of
from talka_services.planning import improved

pytest.importorskip("ortools")

from talka_services.planning.refining import Refinement, refine
from talka_services.planning.solver import solved


@pytest.mark.parametrize("seed", range(8))
def test_small_projects_are_solved_and_no_bound_is_above_the_optimum(seed: int) -> None:
    """The optimum is what the solver cannot beat with all tasks free."""
    found = project(drawn(seed, 4 + seed))
    search = proceed(found, begin(found), 1)
    refinement = Refinement.of(found)
    while not search.is_optimal:
        before = search.makespan
        refine(found, search, refinement, 10.0)
        assert search.makespan <= before
        assert refinement.windows < 500
    check(found, search.best)
    assert lower_bound(found) <= search.makespan
    everything = window_of(found, search.best, 0, len(search.best), search.makespan - 1000)
    assert solved(found, everything, 1.0, 10.0) is False


def test_a_window_keeps_what_lies_around_it() -> None:
    found = project(drawn(3, 60))
    search = proceed(found, begin(found), 1)
    window = window_of(found, search.best, 20, 15, search.makespan)
    starts = solved(found, window, 1.0, 10.0)
    assert isinstance(starts, list)
    check(found, starts)
    moved = {task for task, start in enumerate(starts) if start != window.starts[task]}
    assert moved <= set(window.free)


def test_the_solver_gets_what_is_left_after_the_first_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a project that the search alone does not solve, the better schedule can still be followed."""
    workflow = drawn(5, 120)
    found = project_of(workflow, CAPACITY)
    assert found is not None
    monkeypatch.setattr("talka_services.planning.improving.ALONE_S", 0.05)
    alone = improved(workflow, CAPACITY, 0.05)
    better = improved(workflow, CAPACITY, 2.5)
    assert alone is not None
    assert better is not None
    assert better.makespan_s <= alone.makespan_s
