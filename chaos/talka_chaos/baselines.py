"""Baseline schedules, as if two tasks at once were all there is room for, and when they may be adopted."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.scheduler.evolve import UNPLANNED
from talka_core.search import Project, baseline_of, begin, proceed, project_of
from talka_core.search.improvement import feasible
from talka_core.search.schedules import serial
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import ProposeBaseline, SubmitWorkflow
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Strategy, Workflow

TIGHT = {"slots": 2.0}


def submission_of(workflow: Workflow) -> SubmitWorkflow:
    """Return the request for a workflow; if it is valid and its strategy follows a schedule, with links."""
    project = _project(workflow)
    if project is None:
        return SubmitWorkflow(workflow.id, workflow)
    search = proceed(project, begin(project), 1)
    return SubmitWorkflow(workflow.id, workflow, baseline=baseline_of(project, search.best))


def proposals(seed: int, workflow: Workflow, at_s: float) -> Iterator[tuple[float, ProposeBaseline]]:
    """Yield, with their moments, schedules for an execution under way, many of them stale or sent twice.

    They have a stream of chance of their own, so that nothing else of the seed changes.
    """
    random = Random(f"{seed} {workflow.id} baseline")  # noqa: S311
    project = _project(workflow)
    if project is None:
        return
    for number in range(random.choice((0, 4, 12, 24))):
        ranks = [random.random() for _ in project.tasks]
        baseline = baseline_of(project, serial(project, feasible(project, ranks)))
        version = random.choice((0, 0, 1, 1, 2, 3, 4))
        proposal = ProposeBaseline(workflow.id, f"proposal-{number}", version, baseline)
        moment = at_s + random.expovariate(1 / 4.0)
        yield moment, proposal
        if random.random() < 0.3:
            yield moment + random.uniform(0.0, 5.0), proposal


def adoption_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """A1 yield each schedule that was adopted for another version of the plan, twice, or too late.

    Too late is one of which a task had begun before another that was to hand it its resources.
    """
    state, version, heard = SCHEDULER.initial(log.key), 0, set[str]()
    for commit in commits:
        for _, _, event in commit.events():
            if isinstance(event, e.BaselineAdopted):
                if event.plan_version != version:
                    yield f"A1 {log}: a schedule for version {event.plan_version} is adopted at {version}"
                if event.request_id in heard:
                    yield f"A1 {log}: {event.request_id} is adopted twice"
                heard.add(event.request_id)
                yield from _too_late(log, state, event)
            version += isinstance(event, (e.BaselineAdopted, *UNPLANNED))
            SCHEDULER.evolve(state, event, commit.at)


def _too_late(log: LogName, state: ExecutionRecord, event: e.BaselineAdopted) -> Iterator[str]:
    assert state.workflow is not None, "nothing is adopted before there is a workflow"
    ids = [task.id for task in state.workflow.tasks]
    waiting = (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED)
    for before, after in event.baseline.links:
        first, second = state.tasks[ids[before]].status, state.tasks[ids[after]].status
        if first in waiting and second not in waiting:
            yield f"A1 {log}: {ids[after]} is {second} and was to come after {ids[before]}, which is {first}"


def _project(workflow: Workflow) -> Project | None:
    if workflow.config.strategy is not Strategy.RESOURCE_OPTIMIZED:
        return None
    try:
        return project_of(check(workflow), TIGHT)
    except WorkflowInvalidError:
        return None
