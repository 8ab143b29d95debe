"""Loads a workflow from wherever it is: a file, a text, or a Python function."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from talka_core.builder import WorkflowBuilder, check_with_id
from talka_core.payload_fields import check_fields
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Workflow, WorkflowConstraints
from talka_services.formats.source import Source, read_file, read_text
from talka_services.formats.talka_file import from_document, open_document
from talka_services.formats.wfformat import from_wfformat, original_path

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


def load(
    path_or_text: str | Path | bytes,
    *,
    file_name: str | None = None,
    max_tasks: int | None = None,
    max_seconds: float | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Workflow:
    """Return the checked workflow of a file, a text or a ``module:function``.

    Args:
        path_or_text: A path; ``module:function``; or a text, which is bytes, has
            several lines or starts with ``{``.
        file_name: What errors call it, and whether a text is JSON (by ``.json``).
        max_tasks: Raises or lowers the limit of 1,000 tasks.
        max_seconds: Raises or lowers the limit of an hour.
        inputs: Values for the declared inputs, or the function's arguments.

    Returns:
        The workflow with complete dependencies.

    Raises:
        WorkflowInvalidError: With file, line and column where there are any.
    """
    if is_function(path_or_text):
        return load_function(str(path_or_text), max_tasks=max_tasks, max_seconds=max_seconds, inputs=inputs)
    is_text = isinstance(path_or_text, bytes) or (
        isinstance(path_or_text, str) and ("\n" in path_or_text or path_or_text.startswith("{"))
    )
    if is_text and not isinstance(path_or_text, Path):
        source = read_text(path_or_text, file=file_name)
    else:
        assert not isinstance(path_or_text, bytes)
        source = read_file(path_or_text, shown=file_name)
    return workflow_of(source, max_tasks=max_tasks, max_seconds=max_seconds, inputs=inputs)


def workflow_of(
    source: Source,
    *,
    max_tasks: int | None = None,
    max_seconds: float | None = None,
    inputs: Mapping[str, Any] | None = None,
    is_open: bool = False,
) -> Workflow:
    """Return the checked workflow of a parsed source; see ``load``. If ``is_open`` it still takes inputs."""
    constraints = _constraints(WorkflowConstraints(), max_tasks, max_seconds)
    source.include()
    try:
        if source.is_wfformat:
            return _imported(source, constraints, inputs)
        if is_open:
            return check_fields(check_with_id(open_document(source.value, constraints)))
        return check_fields(check_with_id(from_document(source.value, constraints, inputs)))
    except WorkflowInvalidError as error:
        raise source.located(error) from None


def is_function(name: object) -> bool:
    """Return whether ``name`` reads as ``module:function`` and is not a file."""
    return isinstance(name, str) and bool(_FUNCTION.match(name)) and not Path(name).exists()


def load_function(
    name: str,
    *,
    max_tasks: int | None = None,
    max_seconds: float | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Workflow:
    """Call ``module:function``, with ``inputs`` as arguments, and return the workflow that it returns.

    The current directory is searched for the module too. What the module
    raises while it is imported or called is passed on as it is.

    Raises:
        WorkflowInvalidError: There is no such module or function, or it returns no workflow.
    """
    result: object = _function(name)(**(inputs or {}))
    if isinstance(result, WorkflowBuilder):
        result = result.set_limits(max_tasks=max_tasks, max_seconds=max_seconds).build()
    if not isinstance(result, Workflow):
        raise WorkflowInvalidError(
            f"{name} returned a value of type {type(result).__name__}, not a Workflow.",
            hint="Let it return WorkflowBuilder(...).build().",
            code="not_a_workflow",
            file=name,
        )
    constraints = _constraints(result.constraints, max_tasks, max_seconds)
    return check_fields(check_with_id(replace(result, constraints=constraints)))


def _function(name: str) -> Callable[..., object]:
    module_name, _, function_name = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise WorkflowInvalidError(
            f"There is no file {name!r}, and no module {module_name!r} to import.",
            hint="Check the spelling; modules are looked for in the current directory and the environment.",
            code="unreadable_file",
            file=name,
        ) from None
    function: Callable[..., object] | None = getattr(module, function_name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise WorkflowInvalidError(
            f"The module {module_name!r} has no function {function_name!r}.",
            hint=did_you_mean(function_name, names, label="It has"),
            code="unreadable_file",
            file=name,
        )
    return function


def _imported(source: Source, constraints: WorkflowConstraints, inputs: Mapping[str, Any] | None) -> Workflow:
    if inputs:
        raise WorkflowInvalidError(
            "A WfFormat instance takes no inputs.", hint="Remove --input.", code="unknown_input"
        )
    workflow = from_wfformat(source.value, constraints)
    try:
        return check_with_id(workflow)
    except WorkflowInvalidError as error:
        raise WorkflowInvalidError(
            error.message, hint=error.hint, code=error.code, path=original_path(error.path)
        ) from None


def _constraints(
    given: WorkflowConstraints, max_tasks: int | None, max_seconds: float | None
) -> WorkflowConstraints:
    return WorkflowConstraints(
        max_tasks=given.max_tasks if max_tasks is None else max_tasks,
        max_seconds=given.max_seconds if max_seconds is None else max_seconds,
    )
