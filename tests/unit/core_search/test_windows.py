"""Goal: a window leaves room for all that is in it, and what lies around it stays a schedule."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core_search.test_search import check, project, projects

from talka_core.search.justification import justified
from talka_core.search.schedules import makespan, serial
from talka_core.search.windows import window_of
from talka_protocols.workflow import Workflow


@settings(deadline=None, max_examples=40, derandomize=True)
@given(projects, st.integers(0, 25), st.integers(1, 25), st.integers(0, 5))
def test_what_lies_around_a_window_moves_away_from_it(
    workflow: Workflow, first: int, size: int, slack: int
) -> None:
    """With the makespan that there is, all free tasks could stay; with more the others make room, and fit."""
    found = project(workflow)
    starts = justified(found, serial(found, range(len(found.tasks))))
    first = min(first, len(starts) - 1)
    length = makespan(found, starts)
    window = window_of(found, starts, first, size, length + 1000 * slack)
    assert not window.is_closed
    for place, task in enumerate(window.free):
        assert window.earliest[place] <= starts[task] <= window.latest[place]
    check(found, window.starts)
    assert makespan(found, window.starts) <= length + 1000 * slack
    tight = window_of(found, starts, 0, len(starts), length // 2)
    assert len(tight.free) == len(starts)
