"""The search for a shorter schedule, driven to a time limit."""

from __future__ import annotations

import time
from collections.abc import Mapping

from talka_core.search import Search, baseline_of, begin, proceed, project_of
from talka_protocols.baseline import Baseline
from talka_protocols.workflow import Workflow

STRIDE = 1
"""How many schedules are looked at between two looks at the clock."""


def improved(
    workflow: Workflow, capacity: Mapping[str, float], limit_s: float, seed: int = 0
) -> Baseline | None:
    """Return the best schedule found within ``limit_s`` seconds of this process's CPU time.

    It ends earlier at a schedule that is as short as the lower bound. None says that nothing is
    scarce, or that a task never fits, so that there is nothing to search for.

    Args:
        workflow: With complete dependencies.
        capacity: What the workers offer together, by resource.
        limit_s: The CPU time to spend.
        seed: Where the search begins; the same seed and number of steps give the same schedule.
    """
    until = time.process_time() + limit_s
    project = project_of(workflow, capacity)
    if project is None:
        return None
    search: Search = begin(project, seed)
    while not search.is_optimal:
        proceed(project, search, STRIDE)
        if time.process_time() >= until:
            break
    return baseline_of(project, search.best)
