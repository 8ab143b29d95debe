"""What a WfFormat 1.5 instance measured of its tasks, besides their run times: input sizes, memory, CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from talka_services.formats.wfformat import MIB, malformed

INPUT_MB = "input_mb"
"""The name of the feature that input sizes are."""


class Measured(Struct, frozen=True):
    """What was measured of one task; ``busy`` is the share of the time in which its cores were busy."""

    seconds: float
    memory_mb: float | None = None
    busy: float | None = None
    features: dict[str, float] = field(default_factory=dict[str, float])


class _Task(Struct, frozen=True, rename="camel"):
    id: str
    runtime_in_seconds: float
    core_count: float | None = None
    avg_cpu: float | None = field(name="avgCPU", default=None)
    memory_in_bytes: float | None = None


class _Specified(Struct, frozen=True, rename="camel"):
    id: str
    input_files: list[str] = field(default_factory=list[str])


class _File(Struct, frozen=True, rename="camel"):
    id: str
    size_in_bytes: float = 0.0


class _Specification(Struct, frozen=True):
    tasks: list[_Specified]
    files: list[_File] = field(default_factory=list[_File])


class _Execution(Struct, frozen=True):
    tasks: list[_Task] = field(default_factory=list[_Task])


class _Trace(Struct, frozen=True):
    specification: _Specification
    execution: _Execution = _Execution()


class _Document(Struct, frozen=True):
    workflow: _Trace


def measured(document: Mapping[str, Any]) -> dict[str, Measured]:
    """Return by task id what was measured, of an instance that `wfformat.from_wfformat` accepts.

    Raises:
        WorkflowInvalidError: what running it needs is there, and what was measured is malformed.
    """
    try:
        trace = msgspec.convert(document, _Document).workflow
    except msgspec.ValidationError as error:
        raise malformed(error) from None
    sizes = {file.id: file.size_in_bytes for file in trace.specification.files}
    inputs = {
        task.id: sum(sizes.get(name, 0.0) for name in task.input_files) / MIB
        for task in trace.specification.tasks
    }
    return {task.id: _measured(task, inputs.get(task.id, 0.0)) for task in trace.execution.tasks}


def _measured(task: _Task, input_mb: float) -> Measured:
    return Measured(
        task.runtime_in_seconds,
        None if task.memory_in_bytes is None else task.memory_in_bytes / MIB,
        None if task.avg_cpu is None else task.avg_cpu / 100 / max(1.0, task.core_count or 1.0),
        {INPUT_MB: input_mb} if input_mb > 0 else {},
    )
