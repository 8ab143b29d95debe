"""Which gangs can be granted at all: their members run at the same time, so none may wait for another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from talka_core.graph import TaskGraph
from talka_core.limits import check_id
from talka_core.payloads import KINDS
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task, Workflow

MEMBERS_MAX = 100


def gangs_of(tasks: Iterable[Task]) -> dict[str, list[str]]:
    """Return the members of each gang."""
    gangs: dict[str, list[str]] = {}
    for task in tasks:
        if task.gang:
            gangs.setdefault(task.gang, []).append(task.id)
    return gangs


def check_gangs(workflow: Workflow, shared: Mapping[str, float] | None = None) -> None:
    """Refuse gangs that could never be granted as a whole; the dependencies must be complete.

    Raises:
        WorkflowInvalidError: with the code ``bad_gang``, and the place.
    """
    positions = {task.id: position for position, task in enumerate(workflow.tasks)}
    for name, members in gangs_of(workflow.tasks).items():
        tasks = [workflow.tasks[positions[member]] for member in members]
        for task in tasks:
            check_id(task.gang, ("tasks", positions[task.id], "gang"), "name of the gang")
            if reason := _misfit(task):
                raise _refused(task, positions, f"Task {task.id!r} is in the gang {name!r}, and {reason}.")
        if reason := _bound(workflow, tasks, shared or {}):
            raise _refused(
                tasks[0], positions, f"The gang {name!r} can never be granted as a whole: {reason}."
            )
    if any(task.gang for task in workflow.tasks):
        _check_independent(workflow, positions)


def _misfit(task: Task) -> str:
    if task.agent_type in KINDS:
        return f"no worker runs tasks of type {task.agent_type!r}"
    if task.map is not None or task.loop is not None:
        return "a map or a loop runs many times"
    return ""


def _bound(workflow: Workflow, tasks: list[Task], shared: Mapping[str, float]) -> str:
    """Say what all members together exceed; nothing if they may run at once."""
    if len(tasks) > MEMBERS_MAX:
        return f"it has {len(tasks)} members, and at most {MEMBERS_MAX} are granted together"
    most = workflow.config.max_parallel
    if most is not None and len(tasks) > most:
        return f"it has {len(tasks)} members, and max_parallel is {most}"
    asked = {"slots": float(len(tasks))}
    for task in tasks:
        for name, amount in task.resources.amounts().items():
            asked[name] = asked.get(name, 0.0) + amount
    for what, bounds in (("the limit of the workflow", workflow.config.limits), ("the whole pool's", shared)):
        for name, bound in bounds.items():
            if asked.get(name, 0.0) > bound:
                return f"it asks for {asked[name]:g} of {name}, and {what} is {bound:g}"
    return _bound_by_keys(tasks)


def _bound_by_keys(tasks: list[Task]) -> str:
    """Say which key has too many members at once: each counts against the limits of all."""
    limits: dict[tuple[str, str], list[int]] = {}
    for task in tasks:
        if task.concurrency is not None:
            limits.setdefault(("key", task.concurrency.key), []).append(task.concurrency.limit)
        if task.rate is not None:
            limits.setdefault(("rate", task.rate.key), []).append(task.rate.starts)
    for (kind, key), found in limits.items():
        if len(found) > min(found):
            what = "limit" if kind == "key" else "rate"
            return f"{len(found)} of its members have the {kind} {key!r}, whose {what} is {min(found)}"
    return ""


def _check_independent(workflow: Workflow, positions: Mapping[str, int]) -> None:
    """Refuse members that wait for one another, directly or through others."""
    graph = TaskGraph.of(workflow)
    gangs = {task.id: task.gang for task in workflow.tasks}
    before: list[set[str]] = [set() for _ in graph.ids]
    for stage in graph.levels():
        for number in stage:
            name = gangs[graph.ids[number]]
            if name and name in before[number]:
                task = workflow.tasks[positions[graph.ids[number]]]
                raise _refused(
                    task,
                    positions,
                    f"Task {task.id!r} waits for another member of its gang {name!r}: "
                    "they could never run at the same time.",
                )
            behind = before[number] | ({name} - {""})
            for successor in graph.successors[number]:
                before[successor] |= behind


def _refused(task: Task, positions: Mapping[str, int], sentence: str) -> WorkflowInvalidError:
    return WorkflowInvalidError(
        sentence,
        hint="A gang is granted all or nothing; see the chapter on gangs in docs/resources.md.",
        code="bad_gang",
        path=("tasks", positions[task.id], "gang"),
    )
