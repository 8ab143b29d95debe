"""Imports WfCommons WfFormat 1.5 instances: real executions, run again as timed tasks.

Each task of the trace becomes a ``sleep`` task of its measured run time that
holds its cores and memory, with the trace's own parents. Files are not
imported: the parents already say what they imply. A requirement is bounded by
the largest machine of the trace, and memory is left out where the trace does
not say how much its machines have, so that the trace's machines can run it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct, field

from talka_core.builder import UNNAMED_ID
from talka_core.limits import check_count
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import ResourceRequirements, Task, Workflow, WorkflowConstraints
from talka_services.formats.fields import path_of

SCHEMA_VERSION = "1.5"
MIB = 1024 * 1024
DEFAULT_CORES = 1.0

_TASKS = ("workflow", "specification", "tasks")


class _TaskEntry(Struct, frozen=True):
    id: str
    name: str = ""
    parents: list[str] = field(default_factory=list[str])
    children: list[str] = field(default_factory=list[str])


class _Measured(Struct, frozen=True, rename="camel"):
    id: str
    runtime_in_seconds: float
    core_count: float | None = None
    memory_in_bytes: float | None = None


class _Cpu(Struct, frozen=True, rename="camel"):
    core_count: float | None = None


class _Machine(Struct, frozen=True, rename="camel"):
    node_name: str = ""
    cpu: _Cpu = _Cpu()
    memory_in_bytes: float | None = None


class _Specification(Struct, frozen=True):
    tasks: list[_TaskEntry]


class _Execution(Struct, frozen=True, rename="camel"):
    tasks: list[_Measured] = field(default_factory=list[_Measured])
    machines: list[_Machine] = field(default_factory=list[_Machine])
    makespan_in_seconds: float | None = None
    executed_at: str | None = None


class _Trace(Struct, frozen=True):
    specification: _Specification
    execution: _Execution = _Execution()


class _Instance(Struct, frozen=True, rename="camel"):
    name: str
    workflow: _Trace
    schema_version: str = ""
    runtime_system: dict[str, Any] = field(default_factory=dict[str, Any])


def from_wfformat(document: Mapping[str, Any], constraints: WorkflowConstraints) -> Workflow:
    """Return the workflow of a WfFormat instance, not checked yet, under the given limits.

    Raises:
        WorkflowInvalidError: It is of another version, malformed, or names unknown tasks;
            with the path in the instance.
    """
    instance = _read(document)
    entries = instance.workflow.specification.tasks
    check_count(len(entries), constraints.max_tasks)
    measured = {task.id: task for task in instance.workflow.execution.tasks}
    largest = _largest(instance.workflow.execution.machines)
    parents = _parents(entries)
    return Workflow(
        id=UNNAMED_ID,
        name=instance.name,
        tasks=tuple(_task(entry, parents[entry.id], measured.get(entry.id), largest) for entry in entries),
        metadata=_metadata(instance),
        constraints=constraints,
    )


def machines(document: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return what each machine of the trace offers (``cpu_cores``, and ``memory_mb`` where all tell it).

    Empty when the trace names no machines, or one without its cores.

    Raises:
        WorkflowInvalidError: The instance is of another version or malformed.
    """
    return _capacities(_read(document).workflow.execution.machines)


def original_path(path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return where in the instance stands what a path of the imported workflow leads to."""
    if path[:1] != ("tasks",):
        return tuple(path)
    names = {"depends_on": "parents", "payload": "id"}
    return (*_TASKS, *(names.get(str(step), step) for step in path[1:]))


def _read(document: Mapping[str, Any]) -> _Instance:
    workflow = document.get("workflow")
    version = document.get("schemaVersion")
    if (
        not isinstance(workflow, dict)
        or "specification" not in workflow
        or version not in (None, SCHEMA_VERSION)
    ):
        raise WorkflowInvalidError(
            f"This WfFormat instance is of version {version!r} or has no 'workflow.specification'.",
            hint=f"Only version {SCHEMA_VERSION} is read; the WfCommons tools convert older ones.",
            code="unknown_version",
            path=("schemaVersion",) if "schemaVersion" in document else ("workflow",),
        )
    try:
        return msgspec.convert(document, _Instance)
    except msgspec.ValidationError as error:
        raise malformed(error) from None


def malformed(error: msgspec.ValidationError) -> WorkflowInvalidError:
    """Return the error for people of an instance of which a field holds something else than it may."""
    text, _, place = str(error).partition(" - at `")
    return WorkflowInvalidError(
        f"The WfFormat instance is malformed: {text[:1].lower()}{text[1:]}.",
        hint="WfFormat 1.5 says what each field holds.",
        code="wrong_type",
        path=path_of(place),
    )


def _parents(entries: Sequence[_TaskEntry]) -> dict[str, list[str]]:
    """Return every task's parents: its own list first, then those that name it as a child."""
    parents: dict[str, dict[str, None]] = {}
    for position, entry in enumerate(entries):
        if entry.id in parents:
            raise WorkflowInvalidError(
                f"The task id {entry.id!r} is used twice.",
                hint="Give each task its own id.",
                code="duplicate_id",
                path=(*_TASKS, position, "id"),
            )
        parents[entry.id] = dict.fromkeys(entry.parents)
    for position, entry in enumerate(entries):
        for named, kind, index in _relatives(entry):
            if named not in parents:
                raise WorkflowInvalidError(
                    f"Task {entry.id!r} names {named!r} in its {kind}, but no task has this id.",
                    hint=did_you_mean(named, parents, label="Tasks"),
                    code="unknown_task",
                    path=(*_TASKS, position, kind, index),
                )
        for child in entry.children:
            parents[child].setdefault(entry.id)
    return {task_id: list(named) for task_id, named in parents.items()}


def _relatives(entry: _TaskEntry) -> Iterator[tuple[str, str, int]]:
    for kind, names in (("parents", entry.parents), ("children", entry.children)):
        for index, name in enumerate(names):
            yield name, kind, index


def _task(
    entry: _TaskEntry, parents: list[str], measured: _Measured | None, largest: Mapping[str, float]
) -> Task:
    seconds = measured.runtime_in_seconds if measured else 1.0
    cores = (measured.core_count if measured else None) or DEFAULT_CORES
    memory = (
        ((measured.memory_in_bytes if measured else None) or 0.0) / MIB if "memory_mb" in largest else 0.0
    )
    return Task(
        id=entry.id,
        name=entry.name,
        agent_type="sleep",
        payload={"seconds": seconds},
        estimated_seconds=seconds,
        resources=ResourceRequirements(
            cpu_cores=min(cores, largest.get("cpu_cores", cores)),
            memory_mb=min(memory, largest.get("memory_mb", memory)),
        ),
        dependencies=tuple(parents),
    )


def _capacities(entries: Sequence[_Machine]) -> list[dict[str, float]]:
    if any(machine.cpu.core_count is None for machine in entries):
        return []
    has_memory = all(machine.memory_in_bytes for machine in entries)
    capacities: list[dict[str, float]] = []
    for machine in entries:
        capacity = {"cpu_cores": machine.cpu.core_count or 0.0}
        if has_memory and machine.memory_in_bytes:
            capacity["memory_mb"] = machine.memory_in_bytes / MIB
        capacities.append(capacity)
    return capacities


def _largest(entries: Sequence[_Machine]) -> dict[str, float]:
    """Return the most cores of a machine, and the least memory, so that every one can hold a task."""
    capacities = _capacities(entries)
    if not capacities:
        return {}
    cores = max(capacity["cpu_cores"] for capacity in capacities)
    memory = [capacity["memory_mb"] for capacity in capacities if "memory_mb" in capacity]
    return {"cpu_cores": cores} | ({"memory_mb": min(memory)} if memory else {})


def _metadata(instance: _Instance) -> dict[str, Any]:
    execution = instance.workflow.execution
    found = {
        "source": f"WfFormat {SCHEMA_VERSION}",
        "runtime_system": instance.runtime_system.get("name"),
        "measured_makespan_seconds": execution.makespan_in_seconds,
        "executed_at": execution.executed_at,
        "machines": cast("Any", _capacities(execution.machines)) or None,
    }
    return {key: value for key, value in found.items() if value is not None}
