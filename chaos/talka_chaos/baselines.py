"""Submissions that bring a baseline schedule along, as if two tasks at once were all there is room for."""

from __future__ import annotations

from talka_core.search import Project, baseline_of, begin, proceed, project_of
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import SubmitWorkflow
from talka_protocols.workflow import Strategy, Workflow

TIGHT = {"slots": 2.0}


def submission_of(workflow: Workflow) -> SubmitWorkflow:
    """Return the request for a workflow; if it is valid and its strategy follows a schedule, with links."""
    project = _project(workflow)
    if project is None:
        return SubmitWorkflow(workflow.id, workflow)
    search = proceed(project, begin(project), 1)
    return SubmitWorkflow(workflow.id, workflow, baseline=baseline_of(project, search.best))


def _project(workflow: Workflow) -> Project | None:
    if workflow.config.strategy is not Strategy.RESOURCE_OPTIMIZED:
        return None
    try:
        return project_of(check(workflow), TIGHT)
    except WorkflowInvalidError:
        return None
