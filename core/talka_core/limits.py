"""The bounds of a definition: counts, numbers, ids, payload sizes and depth.

These checks come first and trust nothing, not even the types that the fields
declare, because Python callers may put anything into a struct.
"""

from __future__ import annotations

from math import isfinite
from operator import attrgetter, is_
from typing import Any, NamedTuple, cast

import msgspec

from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import ResourceRequirements, Task, Workflow

Path = tuple[str | int, ...]

ID_LENGTH_MAX = 200
NAME_LENGTH_MAX = 1_000
SECONDS_MAX = 10 * 366 * 86_400.0
AMOUNT_MAX = 1e15
PARALLEL_MAX = 1_000_000
TASKS_MAX = 1_000_000
PAYLOAD_BYTES_MAX = 512 * 1024
DEFINITION_BYTES_MAX = 64 * 1024 * 1024
DEPTH_MAX = 64


_NUMBERS = (int, float)
_CONTAINERS = (dict, list, tuple)
_PLAIN = (str, int, float)
_ID_FORBIDS = frozenset(" ${}")


class Bound(NamedTuple):
    """The range of a number; ``is_open`` leaves the lower end out."""

    low: float
    high: float
    is_whole: bool = False
    is_open: bool = False

    def admits(self, value: object) -> bool:
        """Return whether ``value`` is a number inside the range; true and false are no numbers."""
        if isinstance(value, bool) or not isinstance(value, _NUMBERS):
            return False
        # The range comes first: it refuses NaN, infinity and whole numbers beyond any float.
        if not self.low <= value <= self.high or (self.is_open and value == self.low):
            return False
        return not self.is_whole or value == int(value)

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        start = f"above {self.low:g}" if self.is_open else f"from {self.low:g}"
        return (
            f"{kind} {start} to {self.high:,.0f}" if self.high < AMOUNT_MAX else f"{kind} {start}, and finite"
        )


_PRIORITY = Bound(0, 100, is_whole=True)
RETRIES = Bound(0, 1000, is_whole=True)
SECONDS = Bound(0, SECONDS_MAX, is_open=True)
DURATION = Bound(0, SECONDS_MAX)
_AMOUNT = Bound(0, AMOUNT_MAX)
_GPUS = Bound(0, 1_000_000, is_whole=True)
_PARALLEL = Bound(1, PARALLEL_MAX, is_whole=True)
_TOLERATED = Bound(0, 1_000_000, is_whole=True)
_SHARE = Bound(0, 1)
_WEIGHT = Bound(0, 1_000_000)
_TASK_LIMIT = Bound(1, TASKS_MAX, is_whole=True)


def check_shape(workflow: Workflow) -> None:
    """Refuse a workflow without a name or tasks, with too many, or with numbers out of range.

    Raises:
        WorkflowInvalidError: With the code ``no_tasks``, ``too_many_tasks``,
            ``bad_id``, ``bad_number``, ``payload_too_large``, ``too_deep``, ``not_json`` or ``wrong_type``.
    """
    check_id(workflow.id, ("id",), "workflow id")
    _check_name(workflow.name)
    config, constraints = workflow.config, workflow.constraints
    check_number(constraints.max_tasks, _TASK_LIMIT, ("max_tasks",))
    check_number(constraints.max_seconds, SECONDS, ("max_seconds",))
    check_optional(config.max_parallel, _PARALLEL, ("max_parallel",))
    check_optional(config.timeout, SECONDS, ("timeout_seconds",))
    check_optional(config.deadline, DURATION, ("deadline_seconds",))
    check_number(config.tolerated_failures, _TOLERATED, ("tolerated_failures",))
    check_optional(config.tolerated_failure_share, _SHARE, ("tolerated_failure_share",))
    _check_limits(config.limits)
    if not workflow.tasks:
        raise WorkflowInvalidError(
            f"The workflow {workflow.name!r} has no tasks.",
            hint="Add at least one under 'tasks'.",
            code="no_tasks",
            path=("tasks",),
        )
    check_count(len(workflow.tasks), constraints.max_tasks)
    check_payload(workflow.metadata, ("metadata",), "The metadata")
    for position, task in enumerate(workflow.tasks):
        _check_task(task, position)


def _check_limits(limits: object) -> None:
    if not isinstance(limits, dict):
        raise WorkflowInvalidError(
            f"The limits are of type {type(limits).__name__}, not an object.",
            hint="Write them as keys and values, such as cpu_cores: 4.",
            code="wrong_type",
            path=("limits",),
        )
    for name, most in cast("dict[str, object]", limits).items():
        check_number(most, _AMOUNT, ("limits", name))


def check_count(tasks: int, max_tasks: int) -> None:
    """Refuse more tasks than the limit, naming the flag that raises it."""
    if tasks > max_tasks:
        raise WorkflowInvalidError(
            f"The workflow has {tasks:,} tasks, above the limit of {max_tasks:,}.",
            hint=f"Raise it with --max-tasks {tasks}, or split the workflow.",
            code="too_many_tasks",
            path=("tasks",),
        )


def check_size(encoded_bytes: int) -> None:
    """Refuse a definition whose JSON is over 64 MiB."""
    if encoded_bytes > DEFINITION_BYTES_MAX:
        raise WorkflowInvalidError(
            f"The definition takes {encoded_bytes:,} bytes, above the limit of {DEFINITION_BYTES_MAX:,}.",
            hint="Keep large values in files and name their paths, or split the workflow.",
            code="definition_too_large",
        )


def check_id(value: object, path: Path, what: str = "task id") -> None:
    """Refuse an id that is not 1-200 printable characters without spaces, ``$``, ``{`` and ``}``."""
    if not isinstance(value, str):
        problem = f"is of type {type(value).__name__}, not text"
    elif not value:
        problem = "is empty"
    elif len(value) > ID_LENGTH_MAX:
        problem = f"has {len(value)} characters"
    elif value.isprintable() and _ID_FORBIDS.isdisjoint(value):
        return
    else:
        odd = next(c for c in value if not c.isprintable() or c in _ID_FORBIDS)
        problem = f"holds the character {odd!r}"
    raise WorkflowInvalidError(
        f"The {what} {str(value)[:60]!r} {problem}.",
        hint=f"An id is 1 to {ID_LENGTH_MAX} printable characters without spaces, '$', '{{' and '}}'.",
        code="bad_id",
        path=path,
    )


def check_payload(payload: object, path: Path, what: str) -> None:
    """Refuse a payload that is no JSON object, is nested too deeply or is too large."""
    if not isinstance(payload, dict):
        raise WorkflowInvalidError(
            f"{what} is of type {type(payload).__name__}, not an object.",
            hint="Write it as keys and values.",
            code="wrong_type",
            path=path,
        )
    nodes = _check_json(cast("dict[object, object]", payload), path, what)
    if nodes > PAYLOAD_BYTES_MAX:
        raise _too_large(what, f"over {nodes - 1:,} values", path)
    try:
        size = len(msgspec.json.encode(payload))
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError) as error:
        raise _not_json(f"{what} cannot be written as JSON: {error}.", path) from error
    if size > PAYLOAD_BYTES_MAX:
        raise _too_large(what, f"{size:,} bytes", path)


def check_agent_type(agent_type: object, path: Path, whose: str) -> None:
    """Refuse an agent type that is empty."""
    if not isinstance(agent_type, str) or not agent_type.strip():
        raise WorkflowInvalidError(
            f"{whose}the agent type is empty.",
            hint="Name what runs it: command, python, sleep, http or an agent's own type.",
            code="unknown_agent_type",
            path=path,
        )


def _check_task(task: object, position: int) -> None:
    path: Path = ("tasks", position)
    if not isinstance(task, Task):
        raise WorkflowInvalidError(
            f"Task number {position + 1} is of type {type(task).__name__}, not Task.",
            code="wrong_type",
            path=path,
        )
    check_id(task.id, (*path, "id"))
    check_agent_type(task.agent_type, (*path, "agent_type"), f"Task {task.id!r}: ")
    # Most numbers of most tasks are left out, and a default needs no look.
    if not all(map(is_, _numbers_of(task), _DEFAULT_NUMBERS)):
        for name, bound in _TASK_NUMBERS.items():
            value = getattr(task, name)
            if value is not getattr(_DEFAULT, name) and not bound.admits(value):
                raise _bad_number(value, bound, (*path, _WRITTEN.get(name, name)), f"Task {task.id!r}: ")
    if task.resources != _NOTHING:
        check_resources(task.resources, (*path, "resources"), f"Task {task.id!r}: ")
    if task.payload != {}:
        check_payload(task.payload, (*path, "payload"), f"The payload of task {task.id!r}")
    if task.agent_type == "sleep":
        seconds: object = task.payload.get("seconds")
        if isinstance(seconds, _NUMBERS):
            check_number(seconds, DURATION, (*path, "payload", "seconds"), f"Task {task.id!r}: ")


_TASK_NUMBERS = {
    "priority": _PRIORITY,
    "retries": RETRIES,
    "timeout": SECONDS,
    "estimated_seconds": DURATION,
    "start_timeout": SECONDS,
    "heartbeat_timeout": SECONDS,
    "deadline": DURATION,
    "weight": _WEIGHT,
}
_DEFAULT = Task("", "")
_numbers_of = attrgetter(*_TASK_NUMBERS)
_DEFAULT_NUMBERS = _numbers_of(_DEFAULT)
_WRITTEN = {name: f"{name}_seconds" for name in ("timeout", "start_timeout", "heartbeat_timeout", "deadline")}
"""How a document writes a field that has another name there."""


def check_resources(resources: object, path: Path, whose: str) -> None:
    """Refuse requirements that are no numbers from 0, or name a built-in resource as a custom one."""
    if not isinstance(resources, ResourceRequirements):
        raise WorkflowInvalidError(
            f"{whose}resources is of type {type(resources).__name__}, not ResourceRequirements.",
            code="wrong_type",
            path=path,
        )
    for name in ("cpu_cores", "memory_mb", "disk_mb", "network_bandwidth_mbps"):
        check_number(getattr(resources, name), _AMOUNT, (*path, name), whose)
    check_number(resources.gpu_count, _GPUS, (*path, "gpu_count"), whose)
    for name, amount in resources.custom_resources.items():
        check_number(amount, _AMOUNT, (*path, "custom_resources", name), whose)
        if name in _FIXED or name == "slots":
            raise WorkflowInvalidError(
                f"{whose}the custom resource {name!r} has the name of a built-in one.",
                hint=f"Ask for it as resources.{name}." if name in _FIXED else "Choose another name.",
                code="bad_resource",
                path=(*path, "custom_resources", name),
            )


_NOTHING = ResourceRequirements()
_FIXED = frozenset(ResourceRequirements.__struct_fields__) - {"custom_resources"}


def check_number(value: object, bound: Bound, path: Path, whose: str = "") -> None:
    """Refuse what is no number inside the bound, with the code ``bad_number``."""
    if not bound.admits(value):
        raise _bad_number(value, bound, path, whose)


def _bad_number(value: object, bound: Bound, path: Path, whose: str) -> WorkflowInvalidError:
    return WorkflowInvalidError(
        f"{whose}{'.'.join(str(p) for p in path if p != 'tasks' and not isinstance(p, int))}"
        f" is {value!r}, but must be {bound}.",
        code="bad_number",
        path=path,
    )


def check_optional(value: object, bound: Bound, path: Path, whose: str = "") -> None:
    """Refuse what is neither None nor a number inside the bound."""
    if value is not None:
        check_number(value, bound, path, whose)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH_MAX:
        raise WorkflowInvalidError(
            f"The workflow's name is {str(name)[:60]!r}.",
            hint=f"Give it a name of 1 to {NAME_LENGTH_MAX:,} characters.",
            code="bad_name",
            path=("name",),
        )


def _check_json(payload: object, path: Path, what: str) -> int:
    """Return the number of values in ``payload``, counting no further than a payload may hold."""
    nodes = 0
    pending: list[tuple[object, Path]] = [(payload, path)]
    deepest = len(path) + DEPTH_MAX
    while pending and nodes <= PAYLOAD_BYTES_MAX:
        node, where = pending.pop()
        nodes += 1
        if isinstance(node, _CONTAINERS) and len(where) >= deepest:
            raise WorkflowInvalidError(
                f"{what} is nested deeper than {DEPTH_MAX} levels.",
                hint="Flatten it, or keep it in a file and name its path.",
                code="too_deep",
                path=path,
            )
        if isinstance(node, dict):
            for key, value in cast("dict[object, Any]", node).items():
                if not isinstance(key, str):
                    raise _not_json(f"{what} has the key {key!r}, which is not text.", where)
                if isinstance(value, str):
                    nodes += 1
                else:
                    pending.append((value, (*where, key)))
        elif isinstance(node, list | tuple):
            pending.extend((value, (*where, i)) for i, value in enumerate(cast("list[object]", node)))
        elif isinstance(node, float) and not isfinite(node):
            raise _not_json(f"{what} holds the number {node!r}, which JSON does not have.", where)
        elif node is not None and not isinstance(node, _PLAIN):
            raise _not_json(f"{what} holds a value of type {type(node).__name__}.", where)
    return nodes


def _not_json(message: str, path: Path) -> WorkflowInvalidError:
    hint = "Use only text, finite numbers, true, false, null, lists and objects."
    return WorkflowInvalidError(message, hint=hint, code="not_json", path=path)


def _too_large(what: str, size: str, path: Path) -> WorkflowInvalidError:
    return WorkflowInvalidError(
        f"{what} takes {size}, above the limit of {PAYLOAD_BYTES_MAX:,} bytes.",
        hint="Keep the large value in a file and give its path.",
        code="payload_too_large",
        path=path,
    )
