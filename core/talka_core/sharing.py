"""How a workflow shares its pool with others: its tenant, and the most that it may have there."""

from __future__ import annotations

from talka_core.limits import check_id
from talka_core.payloads import KINDS
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import ResourceRequirements, Workflow

SLOTS = "slots"
_BUILT_IN = {*ResourceRequirements.__struct_fields__, SLOTS} - {"custom_resources"}


def check_sharing(workflow: Workflow) -> None:
    """Refuse limits that one of the tasks exceeds alone, and names that make no sense.

    Raises:
        WorkflowInvalidError: with the code ``bad_id``, ``bad_reservation``, ``unknown_resource`` or
            ``over_limit``, and the place.
    """
    check_id(workflow.config.tenant, ("tenant",), "name of the tenant")
    _check_reservations(workflow)
    if not workflow.config.limits:
        return
    known = _BUILT_IN.union(*(task.resources.custom_resources for task in workflow.tasks))
    for name in workflow.config.limits:
        if name not in known:
            raise WorkflowInvalidError(
                f"The limits name {name!r}, which no task asks for.",
                hint=did_you_mean(name, sorted(known), label="Resources"),
                code="unknown_resource",
                path=("limits", name),
            )
    for position, task in enumerate(workflow.tasks):
        asked = task.resources.amounts() | {SLOTS: 1.0}
        for name, most in workflow.config.limits.items():
            if asked.get(name, 0) > most:
                raise WorkflowInvalidError(
                    f"Task {task.id!r} asks for {asked[name]:g} of {name}, and the limit of its workflow "
                    f"is {most:g}: it could never run.",
                    hint="Raise the limit, or ask for less.",
                    code="over_limit",
                    path=("tasks", position, "resources", name),
                )


def _check_reservations(workflow: Workflow) -> None:
    """Refuse what could not use the reservation that it names: once, for one attempt on a worker."""
    for position, task in enumerate(workflow.tasks):
        if not task.reservation:
            continue
        path = ("tasks", position, "reservation")
        check_id(task.reservation, path, "id of the reservation")
        is_run = task.agent_type not in KINDS
        if not is_run or task.map is not None or task.loop is not None or task.gang:
            raise WorkflowInvalidError(
                f"Task {task.id!r} names the reservation {task.reservation!r}, which is used once, by one "
                "attempt on a worker: not by a wait, a map, a loop or a gang.",
                hint="Name it on a task that a worker runs once.",
                code="bad_reservation",
                path=path,
            )
