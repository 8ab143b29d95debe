"""Goal: what is left of a project is scheduled from now on, and what runs already stays in front."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core_search.test_search import check, project, projects

from talka_core.search.rebasing import rebased, remaining
from talka_core.search.rules import RULES
from talka_core.search.schedules import parallel
from talka_protocols.workflow import Workflow


@settings(deadline=None, max_examples=60, derandomize=True)
@given(projects, st.integers(0, 99), st.integers(0, 10**6))
def test_what_is_left_begins_with_what_runs(workflow: Workflow, share: int, seed: int) -> None:
    """At any instant of a schedule: what runs begins at once, whatever order is wanted of the rest."""
    found, random = project(workflow), Random(seed)
    starts = parallel(found, RULES[0](found))
    ends = [start + own for start, own in zip(starts, found.durations, strict=True)]
    now = max(ends) * share // 100
    ended = {task for task, end in enumerate(ends) if end <= now}
    elapsed = {task: now - start for task, start in enumerate(starts) if start <= now < ends[task]}
    left = remaining(found, ended, elapsed)
    again = rebased(left, [random.random() for _ in starts], elapsed)
    check(left, again)
    assert all(again[task] == 0 for task in (*ended, *elapsed))
    assert all(left.durations[task] == ends[task] - now for task in elapsed)
