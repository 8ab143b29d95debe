"""The ``@task`` decorator: makes a module-level function a kind of task.

The function stays callable. ``.task(...)`` makes a Task that calls it in a
worker by its import path. A parameter that gets no argument and has no default
is a reference to the task whose id it names, so plain Python signatures say
what depends on what.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from pathlib import PurePath
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

from msgspec.structs import replace

from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action, Join, Loop, MapOver, OnFailure, RetryPolicy
from talka_protocols.workflow import ResourceRequirements, Task, TaskType

P = ParamSpec("P")
R = TypeVar("R")
P2 = ParamSpec("P2")
R2 = TypeVar("R2")


class TaskOptions(TypedDict, total=False):
    """What ``@task`` and ``with_options`` accept: the fields of a Task, times in seconds.

    ``id`` is the function's name unless given.
    """

    id: str
    name: str
    agent_type: str
    type: TaskType
    resources: ResourceRequirements
    priority: int
    timeout: float
    retries: int
    dependencies: Sequence[str]
    reads: Sequence[str]
    writes: Sequence[str]
    estimated_seconds: float
    labels: dict[str, str]
    retry: RetryPolicy
    start_timeout: float
    heartbeat_timeout: float
    fallback: Action
    on_failure: OnFailure
    join: Join | int
    when: str
    map: MapOver
    loop: Loop
    compensation: Action
    is_irreversible: bool
    is_preemptible: bool
    group: str
    requires: dict[str, str]
    prefers: dict[str, str]


class TaskFunction(Generic[P, R]):
    """A function that can be called as ever, and made into tasks."""

    def __init__(self, function: Callable[P, R], template: Task) -> None:
        self._function = function
        self._template = template
        self._parameters = _parameters_of(function)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self._function(*args, **kwargs)

    @property
    def id(self) -> str:
        """The id that its tasks get."""
        return self._template.id

    def with_options(self, **options: Unpack[TaskOptions]) -> TaskFunction[P, R]:
        """Return the same function under other options, for instance another ``id`` for a second task."""
        return TaskFunction(self._function, _with_options(self._template, options))

    def task(self, **arguments: Any) -> Task:
        """Return a Task that calls the function.

        Args:
            **arguments: JSON values by parameter name. Another task or ``@task``
                function stands for its result. A required parameter that is
                left out refers to the task with the parameter's name as id.

        Raises:
            WorkflowInvalidError: The function has no such parameter.
        """
        for name in arguments:
            if name not in self._parameters:
                raise WorkflowInvalidError(
                    f"The task {self.id!r} ({self._template.payload['call']}) has no parameter {name!r}.",
                    hint=did_you_mean(name, self._parameters, label="Parameters"),
                    code="unknown_argument",
                )
        missing = {
            name: f"${{{name}}}"
            for name, is_required in self._parameters.items()
            if is_required and name not in arguments
        }
        given = {name: _as_reference(value) for name, value in arguments.items()}
        payload = self._template.payload | {"arguments": given | missing}
        return replace(self._template, payload=payload)


@overload
def task(function: Callable[P2, R2], /) -> TaskFunction[P2, R2]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P2, R2]], TaskFunction[P2, R2]]: ...
def task(
    function: Callable[..., Any] | None = None, /, **options: Unpack[TaskOptions]
) -> TaskFunction[..., Any] | Callable[[Callable[..., Any]], TaskFunction[..., Any]]:
    """Make a module-level function a kind of task: ``@task`` or ``@task(retries=3, ...)``.

    Args:
        function: The function, when used without parentheses.
        **options: See ``TaskOptions``; the agent type is ``python`` unless given.

    Raises:
        WorkflowInvalidError: The function cannot be imported by a worker, or
            its signature cannot be called with named arguments.
    """

    def decorate(function: Callable[..., Any]) -> TaskFunction[..., Any]:
        template = Task(id=function.__name__, agent_type="python", payload={"call": _import_path(function)})
        return TaskFunction(function, _with_options(template, options))

    return decorate if function is None else decorate(function)


def _with_options(template: Task, options: TaskOptions) -> Task:
    fields = cast("dict[str, Any]", dict(options))
    unknown = [name for name in fields if name not in TaskOptions.__annotations__]
    if unknown:
        raise TypeError(
            f"@task has no option {unknown[0]!r}. {did_you_mean(unknown[0], TaskOptions.__annotations__)}"
        )
    for name in ("dependencies", "reads", "writes"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return replace(template, **fields)


def _import_path(function: Callable[..., Any]) -> str:
    """Return ``module:name``; the main module goes by the name under which a worker can import it."""
    if "<" in function.__qualname__:
        raise WorkflowInvalidError(
            f"{function.__qualname__} is defined inside a function, so no worker can import it.",
            hint="Move it to the top level of its module.",
            code="not_importable",
        )
    module = function.__module__
    if module == "__main__":
        specification = function.__globals__.get("__spec__")
        file = function.__globals__.get("__file__")
        module = specification.name if specification else PurePath(file).stem if file else module
    return f"{module}:{function.__qualname__}"


def _parameters_of(function: Callable[..., Any]) -> dict[str, bool]:
    """Return whether each named parameter is required."""
    parameters: dict[str, bool] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise WorkflowInvalidError(
                f"The parameter {parameter.name!r} of {function.__qualname__} is positional-only.",
                hint="Tasks get their arguments by name; remove the '/' from the signature.",
                code="bad_signature",
            )
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            parameters[parameter.name] = parameter.default is parameter.empty
    return parameters


def _as_reference(value: Any) -> Any:
    return f"${{{value.id}}}" if isinstance(value, Task | TaskFunction) else value
