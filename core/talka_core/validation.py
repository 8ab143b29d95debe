"""Checks a workflow before anything runs, and completes its dependencies.

The first fault found is raised; ``path`` holds the keys and indexes that lead
to it in a Talka document (``tasks, 3, depends_on, 0``). Nothing is stored of a
workflow that fails here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from talka_core import control_flow, limits
from talka_core.dataflow import RESERVED_IDS, detect
from talka_core.gangs import check_gangs
from talka_core.graph import CyclicGraphError, TaskGraph
from talka_core.inputs import check_names
from talka_core.keys import check_keys
from talka_core.payloads import check_literals
from talka_core.policies import check_policies
from talka_core.preemptible import check_preemptible
from talka_core.references import mentions
from talka_core.scheduler.waiting import WAIT, WAITING_TYPES, WORKFLOW
from talka_core.sharing import check_sharing
from talka_core.spelling import did_you_mean
from talka_core.transactions import check_transactions
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, Task, Workflow

CHILD_DEPTH_MAX = 8
"""Sub-workflows within sub-workflows."""


def check(
    workflow: Workflow,
    *,
    agent_types: frozenset[str] | None = None,
    ceiling: Mapping[str, float] | None = None,
    shared: Mapping[str, float] | None = None,
) -> Workflow:
    """Return the workflow with complete dependencies, detached from the caller's dicts and lists.

    Args:
        workflow: What was built or read; ids may refer forward.
        agent_types: What can run somewhere; None leaves agent types unchecked.
        ceiling: The most that one worker offers by resource name; None leaves
            requirements unchecked. What it does not name is not offered.
        shared: What the pool has as a whole by resource name; it bounds these
            in place of the ceiling.

    Raises:
        WorkflowInvalidError: With a stable ``code``, the ``path`` and a hint.
    """
    limits.check_shape(workflow)
    workflow = _typed_copy(workflow)
    _check_ids(workflow.tasks)
    check_policies(workflow)
    check_keys(workflow)
    check_sharing(workflow)
    known = None if agent_types is None else agent_types | WAITING_TYPES
    most = None if ceiling is None else {**ceiling, **(shared or {})}
    for position, task in enumerate(workflow.tasks):
        _check_definition(task, position)
        if task.agent_type in WAITING_TYPES:
            _check_waiting(task, position)
        if known is not None:
            _check_agent_types(task, position, known)
        if shared:
            _check_shared(task, position, shared)
        if most is not None:
            _check_ceiling(task, position, most)
    complete = replace(workflow, dependencies=detect(workflow))
    check_acyclic(complete)
    control_flow.check(complete)
    check_gangs(complete, shared)
    check_preemptible(complete)
    check_transactions(complete, agent_types)
    if any(task.workflow is not None for task in complete.tasks):
        offered = Offer(agent_types, ceiling, shared or {})
        tasks = [_with_checked_child(task, i, complete, offered) for i, task in enumerate(complete.tasks)]
        complete = replace(complete, tasks=tuple(tasks))
        check_depth(complete)
    return complete


class Offer(NamedTuple):
    """What a workflow is checked against; see ``check``."""

    agent_types: frozenset[str] | None
    ceiling: Mapping[str, float] | None
    shared: Mapping[str, float]


def check_depth(workflow: Workflow, depth: int = 0, path: tuple[str | int, ...] = ()) -> None:
    """Refuse sub-workflows in sub-workflows beyond a depth.

    Raises:
        WorkflowInvalidError: Code ``too_deep``.
    """
    if depth > CHILD_DEPTH_MAX:
        raise WorkflowInvalidError(
            f"Sub-workflows are nested deeper than {CHILD_DEPTH_MAX} levels.",
            hint="Let a task submit the inner ones instead, or flatten them.",
            code="too_deep",
            path=path,
        )
    for position, task in enumerate(workflow.tasks):
        if task.workflow is not None:
            check_depth(task.workflow, depth + 1, (*path, "tasks", position, "workflow"))


def _check_definition(task: Task, position: int) -> None:
    """Refuse a task of type ``workflow`` without one, and a workflow that nothing would run."""
    if (task.agent_type == WORKFLOW) == (task.workflow is not None):
        return
    if task.workflow is None:
        raise WorkflowInvalidError(
            f"Task {task.id!r} is of type {WORKFLOW} and has no workflow.",
            hint="Write it under 'workflow', or name its file under 'workflow_file'.",
            code="missing_field",
            path=("tasks", position),
        )
    raise WorkflowInvalidError(
        f"Task {task.id!r} has a workflow, but its agent type is {task.agent_type!r}.",
        hint=f"Write 'agent_type: {WORKFLOW}'.",
        code="unknown_field",
        path=("tasks", position, "agent_type"),
    )


def _with_checked_child(task: Task, position: int, parent: Workflow, offered: Offer) -> Task:
    child = task.workflow
    if child is None:
        return task
    place = ("tasks", position)
    # Another pool offers something else, which only its planner knows.
    known = offered if child.config.pool == parent.config.pool else Offer(None, None, {})
    try:
        checked = check(
            child, agent_types=known.agent_types, ceiling=known.ceiling, shared=known.shared or None
        )
    except WorkflowInvalidError as error:
        raise _within(error, f"Sub-workflow of task {task.id!r}: ", (*place, "workflow")) from None
    try:
        _check_child_payload(task, checked)
    except WorkflowInvalidError as error:
        raise _within(error, f"Task {task.id!r}: ", (*place, "payload")) from None
    return replace(task, workflow=checked)


def _check_child_payload(task: Task, child: Workflow) -> None:
    inputs, output = task.payload.get("inputs", {}), task.payload.get("output", "")
    if not isinstance(inputs, str):
        try:
            check_names(child.inputs, inputs)
        except WorkflowInvalidError as error:
            raise _within(error, "", ("inputs",)) from None
    if output and not mentions(output) and output not in (ids := [task.id for task in child.tasks]):
        raise WorkflowInvalidError(
            f"The sub-workflow has no task {output!r} whose result could be the output.",
            hint=did_you_mean(output, ids, label="Tasks"),
            code="unknown_task",
            path=("output",),
        )


def _within(error: WorkflowInvalidError, whose: str, place: tuple[str | int, ...]) -> WorkflowInvalidError:
    """Return an error found inside something as one of the whole."""
    return WorkflowInvalidError(
        f"{whose}{error.message}", hint=error.hint, code=error.code, path=(*place, *error.path)
    )


def check_acyclic(workflow: Workflow) -> None:
    """Refuse a workflow whose complete dependencies form a cycle, naming it.

    Raises:
        WorkflowInvalidError: Code ``cycle``; the path is the first task of it.
    """
    try:
        TaskGraph.of(workflow).levels()
    except CyclicGraphError as error:
        position = next(i for i, task in enumerate(workflow.tasks) if task.id == error.cycle[0])
        raise WorkflowInvalidError(
            f"The tasks wait for each other in a cycle: {_shortened(error.cycle)}.",
            hint=f"Remove one of these dependencies: {_reasons(error.cycle, workflow.dependencies)}.",
            code="cycle",
            path=("tasks", position),
        ) from None


def _shortened(cycle: Sequence[str]) -> str:
    if len(cycle) > 20:
        cycle = [*cycle[:10], f"({len(cycle) - 19} more)", *cycle[-9:]]
    return " -> ".join(cycle)


def _reasons(cycle: Sequence[str], dependencies: Sequence[Dependency]) -> str:
    reasons = {(edge.from_task, edge.to_task): edge.reason for edge in dependencies}
    pairs = list(pairwise(cycle))
    texts = [f"{target} needs {source} ({reasons[source, target]})" for source, target in pairs[:5]]
    return "; ".join(texts) + ("; ..." if len(pairs) > 5 else "")


def _typed_copy(workflow: Workflow) -> Workflow:
    """Return a deep copy in which every field has its declared type."""
    try:
        encoded = msgspec.json.encode(workflow)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise WorkflowInvalidError(
            f"The workflow cannot be written as JSON: {error}.",
            hint="Use only text, numbers, true, false, null, lists and objects.",
            code="not_json",
        ) from error
    limits.check_size(len(encoded))
    try:
        return msgspec.json.decode(encoded, type=Workflow)
    except msgspec.ValidationError as error:
        raise WorkflowInvalidError(
            f"The workflow has a value of the wrong type: {error}.",
            hint="The documentation of talka_protocols.workflow lists the fields and their types.",
            code="wrong_type",
        ) from error


def _check_ids(tasks: Sequence[Task]) -> None:
    seen: dict[str, int] = {}
    for position, task in enumerate(tasks):
        if task.id in RESERVED_IDS:
            meaning = RESERVED_IDS[task.id]
            raise WorkflowInvalidError(
                f"No task may have the id {task.id!r}: ${{{task.id}.NAME}} stands for {meaning}.",
                hint="Choose another id.",
                code="bad_id",
                path=("tasks", position, "id"),
            )
        first = seen.setdefault(task.id, position)
        if first != position:
            raise WorkflowInvalidError(
                f"The task id {task.id!r} is used twice, by tasks number {first + 1} and {position + 1}.",
                hint="Give each task its own id.",
                code="duplicate_id",
                path=("tasks", position, "id"),
            )


def _check_waiting(task: Task, position: int) -> None:
    for field in ("timeout", "heartbeat_timeout"):
        if getattr(task, field) is None:
            continue
        raise WorkflowInvalidError(
            f"Task {task.id!r}: a {task.agent_type} task runs on no worker, so it has no attempt to stop.",
            hint=_LIMITS.get(task.agent_type, "Write timeout_seconds in the payload instead."),
            code="unknown_field",
            path=("tasks", position, f"{field}_seconds"),
        )
    try:
        check_literals(task.agent_type, task.payload)
    except WorkflowInvalidError as error:
        raise _within(error, f"Task {task.id!r}: ", ("tasks", position, "payload")) from None


_LIMITS = {
    WAIT: "Its payload says when it ends.",
    WORKFLOW: "Write timeout_seconds in the sub-workflow instead.",
}
"""Where tasks that no worker runs are limited, by agent type."""


def _check_agent_types(task: Task, position: int, known: frozenset[str]) -> None:
    if task.agent_type in known and task.fallback is None:
        return
    wanted: list[tuple[str, str, tuple[str | int, ...]]] = [
        (f"Task {task.id!r}", task.agent_type, ("tasks", position, "agent_type"))
    ]
    if task.fallback is not None:
        place = ("tasks", position, "fallback", "agent_type")
        wanted.append((f"The fallback of task {task.id!r}", task.fallback.agent_type, place))
    for who, agent_type, path in wanted:
        if agent_type not in known:
            raise WorkflowInvalidError(
                f"{who} has the agent type {agent_type!r}, which no worker offers.",
                hint=did_you_mean(agent_type, sorted(known), label="Offered"),
                code="unknown_agent_type",
                path=path,
            )


def _check_ceiling(task: Task, position: int, ceiling: Mapping[str, float]) -> None:
    for name, asked in task.resources.amounts().items():
        offered = ceiling.get(name, 0.0)
        if asked > offered:
            where = ("custom_resources", name) if name in task.resources.custom_resources else (name,)
            raise WorkflowInvalidError(
                f"Task {task.id!r} asks for {asked:g} {name}, but the largest worker offers {offered:g}.",
                hint=f"Ask for less, or add a larger worker (--capacity {name}={asked:g}).",
                code="impossible_resources",
                path=("tasks", position, "resources", *where),
            )


def _check_shared(task: Task, position: int, shared: Mapping[str, float]) -> None:
    for name, asked in task.resources.custom_resources.items():
        if name in shared and asked > shared[name]:
            raise WorkflowInvalidError(
                f"Task {task.id!r} asks for {asked:g} {name}, but the whole pool has {shared[name]:g}.",
                hint=f"Ask for less, or let the pool have more (--shared {name}={asked:g}).",
                code="impossible_resources",
                path=("tasks", position, "resources", "custom_resources", name),
            )
