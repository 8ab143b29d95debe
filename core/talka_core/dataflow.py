"""Detects dependencies: from references in payloads, from conditions, and from artifacts read and written.

What was declared on the workflow and cannot be found again comes first and
keeps its reason; then follows what the tasks say, in document order: declared
ids, references, conditions, artifacts. So detection is idempotent, and its order does not
depend on how a workflow was written down.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from talka_core import conditions
from talka_core.inputs import input_of
from talka_core.outputs import OUTPUTS
from talka_core.payloads import KINDS
from talka_core.references import Reference, find_references, head_of
from talka_core.secrets import SECRET, check_secrets, is_secret
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, Task, Workflow

DECLARED = "declared"
CONDITION = "condition"
MAP_NAMES = frozenset({"item", "index"})
RESERVED_ID = "input"
"""``${input.NAME}`` is bound when a file is loaded, so no task may have this id."""
RESERVED_IDS = {RESERVED_ID: "an input", SECRET: "a secret"}
"""What a reference that begins so stands for instead of a task."""


def detect(workflow: Workflow) -> tuple[Dependency, ...]:
    """Return the complete dependencies of a workflow, one per pair of tasks, each with its reason.

    Raises:
        WorkflowInvalidError: Something refers to an unknown task or to itself,
            to a field that a task never has, or two tasks write one artifact.
    """
    tasks = {task.id: (position, task) for position, task in enumerate(workflow.tasks)}
    found: dict[tuple[str, str], Dependency] = {}
    for edge in _detected(workflow, tasks):
        found.setdefault((edge.from_task, edge.to_task), edge)
    _check_declared(workflow, tasks)
    added: dict[tuple[str, str], Dependency] = {}
    for edge in workflow.dependencies:
        pair = (edge.from_task, edge.to_task)
        if found.get(pair) != edge:
            added.setdefault(pair, edge)
    complete = (*added.values(), *(edge for pair, edge in found.items() if pair not in added))
    return (*complete, *_behind_groups(workflow, complete))


def _behind_groups(workflow: Workflow, edges: Sequence[Dependency]) -> Iterator[Dependency]:
    """Let whoever needs a member of a group from outside wait for all of them."""
    groups: dict[str, list[str]] = {}
    for task in workflow.tasks:
        if task.group:
            groups.setdefault(task.group, []).append(task.id)
    if not groups:
        return
    group_of = {member: group for group, members in groups.items() for member in members}
    seen = {(edge.from_task, edge.to_task) for edge in edges}
    for edge in edges:
        group = group_of.get(edge.from_task, "")
        if not group or group_of.get(edge.to_task) == group:
            continue
        for member in groups[group]:
            if (member, edge.to_task) not in seen:
                seen.add((member, edge.to_task))
                yield Dependency(member, edge.to_task, f"group {group}")


def undetectable(workflow: Workflow) -> tuple[Dependency, ...]:
    """Return those dependencies of a checked workflow that its tasks do not imply by themselves."""
    bare = Workflow(id=workflow.id, name=workflow.name, tasks=workflow.tasks, inputs=workflow.inputs)
    implied = set(detect(bare))
    return tuple(edge for edge in workflow.dependencies if edge not in implied)


def artifact_key(name: str) -> str:
    """Return the normal form of an artifact's name: ``./out//a.txt`` and ``out/a.txt`` are one."""
    return posixpath.normpath(name)


def _detected(workflow: Workflow, tasks: Mapping[str, tuple[int, Task]]) -> Iterator[Dependency]:
    writers = _writers(workflow)
    for position, task in enumerate(workflow.tasks):
        for index, needed in enumerate(task.dependencies):
            _check_end(
                needed, tasks, ("tasks", position, "depends_on", index), f"Task {task.id!r} depends on"
            )
            _check_not_self(needed, task.id, ("tasks", position, "depends_on", index))
            yield Dependency(needed, task.id, DECLARED)
        for reference in _references(task, position, tasks):
            if _is_input(reference, task, position, workflow):
                continue
            needed = _check_reference(reference, task, position, tasks)
            yield Dependency(needed, task.id, f"reference ${{{reference.text}}}")
        for needed in _mentioned(task, position, tasks):
            yield Dependency(needed, task.id, CONDITION)
        for name in task.reads:
            writer = writers.get(artifact_key(name))
            if writer is not None and writer.id != task.id:
                yield Dependency(writer.id, task.id, f"artifact {name}")


def references_of(task: Task, task_ids: Collection[str]) -> tuple[Reference, ...]:
    """Return a task's references to other tasks, their places counted from the task.

    What a map or a loop puts in by itself is none, and no secret is one.

    Raises:
        WorkflowInvalidError: A ``${`` is empty or is not closed; ``path`` is the place inside the task.
    """
    found = _placed(task.payload, ("payload",), task_ids)
    if task.map is not None:
        found = (*found, *_placed(task.map.over, ("map", "over"), task_ids))
    found = tuple([reference for reference in found if not is_secret(reference)])
    if task.map is None and task.loop is None:
        return found
    bound = bound_names(task)
    return tuple(
        reference
        for reference in found
        if head_of(reference.text) not in bound or reference.where[0] != "payload"
    )


def references_of_fallback(task: Task, task_ids: Collection[str]) -> tuple[Reference, ...]:
    """Return the references to other tasks of what runs when the task has failed.

    Raises:
        WorkflowInvalidError: As for the task's own.
    """
    if task.fallback is None:
        return ()
    found = _placed(task.fallback.payload, ("fallback", "payload"), task_ids)
    return tuple(
        reference
        for reference in found
        if head_of(reference.text) not in bound_names(task) and not is_secret(reference)
    )


def bound_names(task: Task) -> frozenset[str]:
    """Return the names in a task's payload that stand for something else than a task."""
    names = MAP_NAMES if task.map is not None else frozenset[str]()
    return names | {conditions.LOOP} if task.loop is not None else names


def loop_references_of(task: Task) -> tuple[Reference, ...]:
    """Return a task's references to what its own last round returned, as references to itself."""
    if task.loop is None:
        return ()
    found = (reference.text for reference in find_references(task.payload, ()))
    return tuple(
        Reference(text, task.id, tuple(text.split(".")[2:]), ())
        for text in found
        if head_of(text) == conditions.LOOP
    )


def _placed(value: object, place: tuple[str, ...], task_ids: Collection[str]) -> tuple[Reference, ...]:
    try:
        found = find_references(value, task_ids)
    except WorkflowInvalidError as error:
        raise WorkflowInvalidError(
            error.message, hint=error.hint, code=error.code, path=(*place, *error.path)
        ) from None
    if not found:
        return ()
    return tuple([replace(reference, where=(*place, *reference.where)) for reference in found])


def _references(task: Task, position: int, tasks: Mapping[str, tuple[int, Task]]) -> tuple[Reference, ...]:
    try:
        found = (*references_of(task, tasks), *references_of_fallback(task, tasks))
        check_secrets(task, tasks, runs_at_worker=task.agent_type not in KINDS)
        return found  # noqa: TRY300
    except WorkflowInvalidError as error:
        raise WorkflowInvalidError(
            f"Task {task.id!r}: {error.message}",
            hint=error.hint,
            code=error.code,
            path=("tasks", position, *error.path),
        ) from None


def _mentioned(task: Task, position: int, tasks: Mapping[str, tuple[int, Task]]) -> Iterator[str]:
    """Yield the tasks that the task's condition names."""
    if not task.when:
        return
    path = ("tasks", position, "when")
    try:
        condition = conditions.parse(task.when, tasks)
    except WorkflowInvalidError as error:
        raise WorkflowInvalidError(
            f"The condition of task {task.id!r}: {error.message}", hint=error.hint, code=error.code, path=path
        ) from None
    for mention in condition.mentions:
        _check_end(mention.task_id, tasks, path, f"The condition of task {task.id!r} names")
        _check_not_self(mention.task_id, task.id, path)
        yield mention.task_id


def _is_input(reference: Reference, task: Task, position: int, workflow: Workflow) -> bool:
    """Tell whether it stands for an input that a sub-workflow is yet to get."""
    name = input_of(reference.text) if reference.task_id is None and workflow.inputs else None
    if name is None or name in workflow.inputs:
        return name is not None
    raise WorkflowInvalidError(
        f"Task {task.id!r} uses ${{{reference.text}}}, but the workflow declares no input {name!r}.",
        hint=did_you_mean(name, workflow.inputs, label="Inputs"),
        code="unknown_input",
        path=("tasks", position, "payload", *reference.where),
    )


def _check_reference(
    reference: Reference, task: Task, position: int, tasks: Mapping[str, tuple[int, Task]]
) -> str:
    """Return the id of the task that is referred to."""
    path = ("tasks", position, *reference.where)
    shown = f"Task {task.id!r} refers to ${{{reference.text}}}"
    if reference.task_id is None:
        named = reference.text.split(".")[0]
        raise WorkflowInvalidError(
            f"{shown}, but no task has the id {named!r}.",
            hint=_unknown_reference_hint(reference.text, named, tasks),
            code="unknown_reference",
            path=path,
        )
    _check_not_self(reference.task_id, task.id, path)
    target = tasks[reference.task_id][1]
    is_sure = target.map is None and (
        target.fallback is None or target.fallback.agent_type == target.agent_type
    )
    fields = OUTPUTS.get(target.agent_type) if is_sure else None
    if fields is not None and reference.path and reference.path[0] not in fields:
        raise WorkflowInvalidError(
            f"{shown}, but the result of {target.id!r} ({target.agent_type}) "
            f"has no field {reference.path[0]!r}.",
            hint=did_you_mean(reference.path[0], fields, label="It has"),
            code="unknown_output",
            path=path,
        )
    return reference.task_id


def _unknown_reference_hint(text: str, named: str, tasks: Mapping[str, tuple[int, Task]]) -> str:
    if named == RESERVED_ID:
        return "Inputs are bound when a workflow file is loaded: declare it under 'inputs' there."
    suggestion = did_you_mean(named, tasks, label="Tasks")
    return f"{suggestion} To keep it as text, for a shell for instance, write $${{{text}}}."


def _writers(workflow: Workflow) -> dict[str, Task]:
    writers: dict[str, Task] = {}
    for position, task in enumerate(workflow.tasks):
        if not (task.reads or task.writes):
            continue
        for field, names in (("reads", task.reads), ("writes", task.writes)):
            if any(not name.strip() for name in names):
                raise WorkflowInvalidError(
                    f"Task {task.id!r} {field} an artifact without a name.",
                    hint="Give a path or any other name, or leave it out.",
                    code="bad_artifact",
                    path=("tasks", position, field, [bool(name.strip()) for name in names].index(False)),
                )
        for index, name in enumerate(task.writes):
            other = writers.setdefault(artifact_key(name), task)
            if other.id != task.id:
                raise WorkflowInvalidError(
                    f"Tasks {other.id!r} and {task.id!r} both write the artifact {name!r}.",
                    hint="Which of them a reader should wait for is unknown; let each write its own.",
                    code="two_writers",
                    path=("tasks", position, "writes", index),
                )
    return writers


def _check_declared(workflow: Workflow, tasks: Mapping[str, tuple[int, Task]]) -> None:
    for index, edge in enumerate(workflow.dependencies):
        if edge.from_task in tasks and edge.to_task in tasks and edge.from_task != edge.to_task:
            continue
        what = f"The dependency {edge.from_task!r} -> {edge.to_task!r} names"
        _check_end(edge.from_task, tasks, ("dependencies", index, "from"), what)
        _check_end(edge.to_task, tasks, ("dependencies", index, "to"), what)
        _check_not_self(edge.from_task, edge.to_task, ("dependencies", index, "to"))


def _check_end(
    task_id: str, tasks: Mapping[str, tuple[int, Task]], path: tuple[str | int, ...], what: str
) -> None:
    if task_id not in tasks:
        raise WorkflowInvalidError(
            f"{what} {task_id!r}, but no task has this id.",
            hint=did_you_mean(task_id, tasks, label="Tasks"),
            code="unknown_task",
            path=path,
        )


def _check_not_self(needed: str, task_id: str, path: tuple[str | int, ...]) -> None:
    if needed == task_id:
        raise WorkflowInvalidError(
            f"Task {task_id!r} depends on itself, so it could never start.",
            hint="Remove the dependency, or name the task that was meant.",
            code="self_dependency",
            path=path,
        )
