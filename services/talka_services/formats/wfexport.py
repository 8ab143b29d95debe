"""Exports a finished execution as a WfCommons WfFormat 1.5 instance.

WfCommons tools, and ``talka run`` itself, read it. Ids keep their text where
WfFormat allows it (letters, digits, ``-``, ``_``, ``.``); the original always
stays as the task's name unless it has another one. Sizes of files are not
recorded by the platform and are given as 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from talka_core.graph import TaskGraph
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task, Workflow
from talka_services.formats.wfformat import MIB, SCHEMA_VERSION

_ODD = re.compile(r"[^0-9a-zA-Z_.-]")


class TaskTimes(Struct, frozen=True):
    """What one task did: Unix seconds (None if it never started or ended), its worker, its status."""

    started_at: float | None
    finished_at: float | None
    worker: str | None = None
    status: str = "succeeded"


def export_wfformat(
    workflow: Workflow,
    tasks_outcome: Mapping[str, TaskTimes],
    machines: Mapping[str, Mapping[str, float]] | None = None,
    *,
    version: str = "0.1.0",
) -> dict[str, Any]:
    """Return a finished execution as a WfFormat document.

    Args:
        workflow: What was executed, with complete dependencies.
        tasks_outcome: By task id; tasks that never ran are in the
            specification only.
        machines: By worker id, what it offered (``cpu_cores``, ``memory_mb``).
        version: The version of Talka.

    Raises:
        WorkflowInvalidError: No task ran, and WfFormat has no execution without tasks.
    """
    ran = {
        task.id: times
        for task in workflow.tasks
        if (times := tasks_outcome.get(task.id)) and times.started_at is not None
    }
    if not ran:
        raise WorkflowInvalidError(
            "No task of this execution ran, so there is nothing to export.",
            hint="Export an execution that has started tasks.",
            code="nothing_to_export",
        )
    ids = exported_ids(workflow)
    started = min(times.started_at or 0.0 for times in ran.values())
    finished = max(_end(times) for times in ran.values())
    nodes = exported_nodes(ran, machines or {})
    return {
        "name": workflow.name,
        "description": "Measured by Talka",
        "createdAt": _timestamp(finished),
        "schemaVersion": SCHEMA_VERSION,
        "runtimeSystem": {"name": "Talka", "version": version},
        "workflow": {
            "specification": _specification(workflow, ids),
            "execution": {
                "makespanInSeconds": finished - started,
                "executedAt": _timestamp(started),
                "tasks": [
                    _measured(task, ran[task.id], ids, nodes) for task in workflow.tasks if task.id in ran
                ],
                **_machines(nodes, machines or {}),
            },
        },
    }


def exported_ids(workflow: Workflow) -> dict[str, str]:
    """Return by task id an id that WfFormat allows, its own where possible."""
    return _allowed([task.id for task in workflow.tasks])


def exported_nodes(
    ran: Mapping[str, TaskTimes], machines: Mapping[str, Mapping[str, float]]
) -> dict[str, str]:
    """Return by worker id, in order, the node name under which it is exported."""
    workers = dict.fromkeys([*machines, *(times.worker for times in ran.values() if times.worker)])
    return _allowed(list(workers))


def _allowed(names: Sequence[str]) -> dict[str, str]:
    taken = {name for name in names if not _ODD.search(name)}
    allowed = {name: name for name in taken}
    for name in names:
        if name not in allowed:
            plain = _ODD.sub("_", name)
            count, candidate = 1, plain
            while candidate in taken:
                count += 1
                candidate = f"{plain}_{count}"
            taken.add(candidate)
            allowed[name] = candidate
    return {name: allowed[name] for name in names}


def _specification(workflow: Workflow, ids: Mapping[str, str]) -> dict[str, Any]:
    graph = TaskGraph.of(workflow)
    files = _allowed(
        list(dict.fromkeys(name for task in workflow.tasks for name in (*task.reads, *task.writes)))
    )
    tasks: list[dict[str, Any]] = []
    for position, task in enumerate(workflow.tasks):
        entry: dict[str, Any] = {
            "name": task.name or task.id,
            "id": ids[task.id],
            "parents": _names(graph.predecessors[position], workflow, ids),
            "children": _names(graph.successors[position], workflow, ids),
        }
        entry |= {"inputFiles": [files[name] for name in task.reads]} if task.reads else {}
        entry |= {"outputFiles": [files[name] for name in task.writes]} if task.writes else {}
        tasks.append(entry)
    return {"tasks": tasks, "files": [{"id": name, "sizeInBytes": 0} for name in files.values()]}


def _names(positions: Sequence[int], workflow: Workflow, ids: Mapping[str, str]) -> list[str]:
    return [ids[workflow.tasks[position].id] for position in positions]


def _measured(
    task: Task, times: TaskTimes, ids: Mapping[str, str], nodes: Mapping[str, str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": ids[task.id],
        "runtimeInSeconds": _end(times) - (times.started_at or 0.0),
        "command": {"program": task.agent_type},
        "priority": task.priority,
    }
    if task.resources.cpu_cores:
        entry["coreCount"] = max(1.0, task.resources.cpu_cores)
    if task.resources.memory_mb:
        entry["memoryInBytes"] = round(task.resources.memory_mb * MIB)
    if times.worker:
        entry["machines"] = [nodes[times.worker]]
    return entry


def _machines(
    nodes: Mapping[str, str], machines: Mapping[str, Mapping[str, float]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the machines' list, or nothing, since WfFormat allows no empty one."""
    entries: list[dict[str, Any]] = []
    for worker, node in nodes.items():
        offered = machines.get(worker, {})
        entry: dict[str, Any] = {"nodeName": node}
        if offered.get("cpu_cores", 0.0) >= 1:
            entry["cpu"] = {"coreCount": int(offered["cpu_cores"])}
        if offered.get("memory_mb"):
            entry["memoryInBytes"] = round(offered["memory_mb"] * MIB)
        entries.append(entry)
    return {"machines": entries} if entries else {}


def _end(times: TaskTimes) -> float:
    """Return when it ended; clocks of two machines may differ, but no run time is negative."""
    started = times.started_at or 0.0
    return max(started, times.finished_at if times.finished_at is not None else started)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
