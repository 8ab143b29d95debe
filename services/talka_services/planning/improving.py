"""The search for a shorter schedule, driven to a time limit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec

from talka_core.search import Project, Search, baseline_of, begin, proceed, project_of
from talka_protocols.baseline import Baseline
from talka_protocols.workflow import Workflow

ALONE_S = 1.0
"""For so long the search goes without the solver: to load it would take much of that."""

WALK_SHARE = 0.5
"""The share of the time that a local search on the critical path has before the solver."""


def improved(
    workflow: Workflow, capacity: Mapping[str, float], limit_s: float, seed: int = 0
) -> Baseline | None:
    """Return the best schedule found within ``limit_s`` seconds of this process's CPU time.

    It ends earlier at a schedule that is as short as the lower bound. With the extra ``optimize``,
    what is left after the first second goes to CP-SAT, which makes the schedule anew window by
    window. None says that nothing is scarce, or that a task never fits, so that there is nothing
    to search for.

    Args:
        workflow: With complete dependencies.
        capacity: What the workers offer together, by resource.
        limit_s: The CPU time to spend.
        seed: Where the search begins; the same seed and number of steps give the same schedule.
    """
    project = project_of(workflow, capacity)
    return None if project is None else baseline_of(project, search_for(project, limit_s, seed).best)


def search_for(project: Project, limit_s: float, seed: int = 0) -> Search:
    """Return how far a search came in ``limit_s`` seconds of CPU time; see ``improved``."""
    until = time.process_time() + limit_s
    search: Search = begin(project, seed)
    is_solver_there = limit_s > ALONE_S and find_spec("ortools") is not None
    alone_until = until
    while not search.is_optimal:
        proceed(project, search, 1)
        if is_solver_there:
            alone_s = limit_s * WALK_SHARE if search.walk else 0.0
            alone_until = until - limit_s + max(ALONE_S, alone_s)
        if time.process_time() >= alone_until:
            break
    if is_solver_there:
        _refine(project, search, until)
    return search


def _refine(project: Project, search: Search, until: float) -> None:
    if search.is_optimal:
        return
    # It is an extra, and takes a second to load.
    from talka_services.planning.refining import Refinement, refine  # noqa: PLC0415

    refinement = Refinement.of(project)
    while not search.is_optimal and (left_s := until - time.process_time()) > 0:
        refine(project, search, refinement, left_s)
