"""Shorter schedules for executions under way: searched for beside them, proposed, adopted or refused."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from msgspec import Struct

from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.proposing import NOT_BEGUN
from talka_core.scheduler.ranking import ranking_of
from talka_core.search import Project, baseline_of, project_of
from talka_core.search.rebasing import rebased, remaining
from talka_core.search.rules import best_ranks
from talka_core.search.schedules import makespan
from talka_core.status import inventory_of, whole_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Event
from talka_protocols.messages import ProposeBaseline
from talka_protocols.states import FINAL_TASK_STATUSES
from talka_protocols.workflow import Strategy
from talka_services.client.histories import Histories
from talka_services.planning.searching import SearchRequest, searched

Ask = Callable[[ProposeBaseline], Awaitable[tuple[Event, ...]]]


class Replanning(Struct, frozen=True):
    """What a search led to: from how long to how long the rest would take (seconds), or why nothing changed.

    ``code`` is empty if the schedule was adopted.
    """

    before_s: float = 0.0
    after_s: float = 0.0
    code: str = ""
    reason: str = ""

    @property
    def is_adopted(self) -> bool:
        """Tell whether the execution goes by the new schedule."""
        return not self.code


async def replan(histories: Histories, ask: Ask, execution_id: str, limit_s: float) -> Replanning:
    """Search for a shorter schedule of what is left, and propose it if there is one.

    What began while the search went on goes first in what is proposed. Anything that happened
    meanwhile and that no plan knew makes the proposal stale.

    Raises:
        UnknownExecutionError: there is no such execution.
        PlatformError: the search failed.
    """
    state = await histories.execution(execution_id)
    capacity = whole_of(inventory_of(await histories.pool(state.pool))) if state.workflow else {}
    project = _project(state, capacity)
    if project is None or state.workflow is None:
        return Replanning(code="nothing_to_plan", reason="Nothing that is left waits for a resource.")
    ended, elapsed = _progress(state, project)
    places = project.tasks
    request = SearchRequest(
        state.workflow,
        dict(capacity),
        limit_s,
        [places[task] for task in ended],
        {places[task]: since for task, since in elapsed.items()},
    )
    wanted = await searched(request)
    later = await histories.execution(execution_id)
    ended, elapsed = _progress(later, project)
    left = remaining(project, ended, elapsed)
    starts = rebased(left, [wanted[place] for place in places], elapsed)
    before_s = makespan(left, rebased(left, _present(later, left), elapsed)) / 1000
    baseline = baseline_of(left, starts)
    if baseline.makespan_s >= before_s:
        return Replanning(before_s, before_s, "nothing_shorter", "Nothing shorter was found.")
    try:
        await ask(ProposeBaseline(execution_id, uuid4().hex, state.plan_version, baseline))
    except RequestRefusedError as error:
        return Replanning(before_s, baseline.makespan_s, error.code, str(error))
    return Replanning(before_s, baseline.makespan_s)


def _project(state: ExecutionRecord, capacity: dict[str, float]) -> Project | None:
    if state.workflow is None or state.finished_at or not capacity:
        return None
    if ranking_of(state).strategy is not Strategy.RESOURCE_OPTIMIZED:
        return None
    return project_of(state.workflow, capacity)


def _progress(state: ExecutionRecord, project: Project) -> tuple[list[int], dict[int, int]]:
    """Return which tasks of the project are over, and how long the others that have begun run already."""
    assert state.workflow is not None, "only what was accepted is planned anew"
    ended, elapsed = list[int](), dict[int, int]()
    for number, place in enumerate(project.tasks):
        record = state.tasks[state.workflow.tasks[place].id]
        if record.status in FINAL_TASK_STATUSES:
            ended.append(number)
        elif record.status not in NOT_BEGUN:
            elapsed[number] = max(0, round(1000 * time.time()) - record.scheduled_at)
    return ended, elapsed


def _present(state: ExecutionRecord, project: Project) -> list[float]:
    """Return ranks as they are now: the largest lead first; by the best rule if there is no schedule."""
    if state.baseline is None:
        return best_ranks(project)[1]
    return [-state.baseline.leads[place] for place in project.tasks]
