"""Talka files: a document becomes a Workflow, and a Workflow a document again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
import yaml

from talka_core.builder import UNNAMED_ID, derived_id
from talka_core.dataflow import undetectable
from talka_core.limits import check_count
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig, WorkflowConstraints
from talka_services.formats.document import FORMAT_VERSION, DependencyEntry, TaskEntry, WorkflowFile
from talka_services.formats.fields import convert
from talka_services.formats.inputs import ACTIONS, WITH_REFERENCES, bind_inputs, protect

UNBOUND = WITH_REFERENCES | {"workflow"}
"""What of a task is not read as inputs of its file once these are bound."""


def from_document(
    document: Mapping[str, Any], constraints: WorkflowConstraints, inputs: Mapping[str, Any] | None = None
) -> Workflow:
    """Return the workflow of a Talka document, not checked yet, under the given limits.

    Raises:
        WorkflowInvalidError: An input is wrong, or a field is unknown, missing or of the wrong type.
    """
    _check_count(document, constraints)
    return _workflow(convert(bind_inputs(document, inputs)), constraints, UNNAMED_ID, {})


def open_document(document: Mapping[str, Any], constraints: WorkflowConstraints) -> Workflow:
    """Return the workflow of a Talka document with its inputs left open, not checked yet.

    Inputs can stand in payloads only then, as in sub-workflows.

    Raises:
        WorkflowInvalidError: A field is unknown, missing or of the wrong type.
    """
    _check_count(document, constraints)
    file = convert(document)
    return _workflow(file, constraints, UNNAMED_ID, file.inputs)


def _check_count(document: Mapping[str, Any], constraints: WorkflowConstraints) -> None:
    """Refuse far too many tasks before any of them is looked at."""
    tasks: object = document.get("tasks")
    if isinstance(tasks, list):
        check_count(len(cast("list[object]", tasks)), constraints.max_tasks)


def _workflow(
    file: WorkflowFile, constraints: WorkflowConstraints, default_id: str, inputs: dict[str, Any]
) -> Workflow:
    return Workflow(
        id=default_id if file.id is None else file.id,
        name=file.name,
        tasks=tuple(_task(entry, position, constraints) for position, entry in enumerate(file.tasks)),
        dependencies=tuple(Dependency(e.from_task, e.to_task, e.reason) for e in file.dependencies),
        config=WorkflowConfig(
            max_parallel=file.max_parallel,
            timeout=file.timeout_seconds,
            strategy=file.strategy,
            custom_strategy=file.custom_strategy,
            pool=file.pool,
            on_failure=file.on_failure,
            tolerated_failures=file.tolerated_failures,
            tolerated_failure_share=file.tolerated_failure_share,
            is_wall_time=file.wall_time,
            fails_on_violation=file.fail_on_violation,
            deadline=file.deadline_seconds,
            tenant=file.tenant,
            limits=file.limits,
        ),
        metadata=file.metadata,
        constraints=constraints,
        inputs=inputs,
    )


def to_document(workflow: Workflow) -> dict[str, Any]:
    """Return a checked workflow as the document of a Talka file.

    Loading it again gives an equal workflow under the same limits, which are
    the caller's and therefore not in the file. Detected dependencies are left
    out, since they are detected again; so is an id that would be derived again.
    """
    document = _document(workflow)
    tasks = document.pop("tasks")
    return {key: protect(value) for key, value in document.items()} | {
        "tasks": [_protected(task) for task in tasks]
    }


def _document(workflow: Workflow) -> dict[str, Any]:
    file = WorkflowFile(
        talka=1,
        name=workflow.name,
        tasks=[_entry(task) for task in workflow.tasks],
        id=None if workflow.id == derived_id(workflow) else workflow.id,
        max_parallel=workflow.config.max_parallel,
        timeout_seconds=workflow.config.timeout,
        strategy=workflow.config.strategy,
        custom_strategy=workflow.config.custom_strategy,
        pool=workflow.config.pool,
        on_failure=workflow.config.on_failure,
        tolerated_failures=workflow.config.tolerated_failures,
        tolerated_failure_share=workflow.config.tolerated_failure_share,
        fail_on_violation=workflow.config.fails_on_violation,
        wall_time=workflow.config.is_wall_time,
        deadline_seconds=workflow.config.deadline,
        tenant=workflow.config.tenant,
        limits=workflow.config.limits,
        inputs=workflow.inputs,
        metadata=workflow.metadata,
        dependencies=[DependencyEntry(e.from_task, e.to_task, e.reason) for e in undetectable(workflow)],
    )
    document: dict[str, Any] = msgspec.to_builtins(file)
    return document | {"tasks": [_tidy(task) for task in document["tasks"]]}


def dump_yaml(workflow: Workflow) -> str:
    """Return a checked workflow as the text of a Talka file in YAML."""
    return yaml.dump(
        to_document(workflow),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )


class _Dumper(yaml.CSafeDumper):
    """Writes no aliases, and quotes what YAML 1.1 and 1.2 readers would read as anything but text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (the library calls it so)
        """Write equal objects out twice: anchors confuse people."""
        return True


# The dumper knows YAML 1.1, where 1e3 and 0o17 are text and need no quotes.
_add_resolver = cast(
    "Callable[[str, re.Pattern[str], list[str]], None]",
    _Dumper.add_implicit_resolver,  # pyright: ignore[reportUnknownMemberType]
)
_add_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"),
    list("-+.0123456789"),
)
_add_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+\Z"), ["0"])


def _child(entry: TaskEntry, position: int, constraints: WorkflowConstraints) -> Workflow | None:
    """Return a task's sub-workflow, whose inputs are put in when it begins."""
    if entry.workflow is None:
        return None
    document = {"talka": FORMAT_VERSION, "name": entry.name or entry.id, **entry.workflow}
    try:
        file = convert(document)
        return _workflow(file, constraints, entry.id, file.inputs)
    except WorkflowInvalidError as error:
        raise WorkflowInvalidError(
            f"Sub-workflow of task {entry.id!r}: {error.message}",
            hint=error.hint,
            code=error.code,
            path=("tasks", position, "workflow", *error.path),
        ) from None


def _task(entry: TaskEntry, position: int, constraints: WorkflowConstraints) -> Task:
    return Task(
        id=entry.id,
        agent_type=entry.agent_type,
        name=entry.name,
        type=entry.type,
        payload=entry.payload,
        resources=entry.resources,
        priority=entry.priority,
        timeout=entry.timeout_seconds,
        retries=entry.retries,
        dependencies=tuple(entry.depends_on),
        reads=tuple(entry.reads),
        writes=tuple(entry.writes),
        estimated_seconds=entry.estimated_seconds,
        labels=entry.labels,
        requires=entry.requires,
        prefers=entry.prefers,
        retry=entry.retry,
        start_timeout=entry.start_timeout_seconds,
        heartbeat_timeout=entry.heartbeat_timeout_seconds,
        fallback=entry.fallback,
        on_failure=entry.on_failure,
        join=entry.join,
        when=entry.when,
        map=entry.map,
        loop=entry.loop,
        workflow=_child(entry, position, constraints),
        compensation=entry.compensation,
        is_irreversible=entry.irreversible,
        is_preemptible=entry.preemptible,
        group=entry.group,
        gang=entry.gang,
        reservation=entry.reservation,
        concurrency=entry.concurrency,
        rate=entry.rate,
        deadline=entry.deadline_seconds,
        weight=entry.weight,
    )


def _tidy(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task's document without empty requirements."""
    resources = {name: amount for name, amount in task.pop("resources", {}).items() if amount}
    return task | ({"resources": resources} if resources else {})


def _protected(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task's document so that binding inputs leaves it as it is; a sub-workflow is bound later."""
    return {
        key: value if key in UNBOUND else _protected(value) if key in ACTIONS else protect(value)
        for key, value in task.items()
    }


def _entry(task: Task) -> TaskEntry:
    return TaskEntry(
        id=task.id,
        agent_type=task.agent_type,
        name=task.name,
        type=task.type,
        payload=task.payload,
        resources=task.resources,
        priority=task.priority,
        timeout_seconds=task.timeout,
        retries=task.retries,
        depends_on=list(task.dependencies),
        reads=list(task.reads),
        writes=list(task.writes),
        estimated_seconds=task.estimated_seconds,
        labels=task.labels,
        requires=task.requires,
        prefers=task.prefers,
        retry=task.retry,
        start_timeout_seconds=task.start_timeout,
        heartbeat_timeout_seconds=task.heartbeat_timeout,
        fallback=task.fallback,
        on_failure=task.on_failure,
        join=task.join,
        when=task.when,
        map=task.map,
        loop=task.loop,
        workflow=None if task.workflow is None else _document(task.workflow),
        compensation=task.compensation,
        irreversible=task.is_irreversible,
        preemptible=task.is_preemptible,
        group=task.group,
        gang=task.gang,
        reservation=task.reservation,
        concurrency=task.concurrency,
        rate=task.rate,
        deadline_seconds=task.deadline,
        weight=task.weight,
    )
