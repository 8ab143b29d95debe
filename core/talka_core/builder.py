"""WorkflowBuilder: puts a workflow together in Python, and checks it at the end."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import fields, replace

from talka_core.tasks import TaskFunction
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import (
    Dependency,
    Strategy,
    Task,
    Workflow,
    WorkflowConfig,
    WorkflowConstraints,
)

_SLUG_MAX = 40

AnyTask = Task | TaskFunction[..., Any]


class WorkflowBuilder:
    """Collects tasks and settings; every method but ``build`` returns the builder itself.

    Order does not matter and ids may refer forward: nothing is checked before
    ``build``, which may be called again after more was added.

    Args:
        name: For people.
        id: Identifies the definition; None derives it from name and content,
            so that the same definition always has the same id.
    """

    def __init__(self, name: str, id: str | None = None) -> None:  # noqa: A002  (the public interface names it so)
        self._name = name
        self._id = id
        self._tasks: list[Task] = []
        self._dependencies: list[Dependency] = []
        self._config = WorkflowConfig()
        self._constraints = WorkflowConstraints()
        self._metadata: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}

    def add_task(self, task: AnyTask) -> WorkflowBuilder:
        """Add a task, or a ``@task`` function whose required parameters refer to the tasks they name."""
        self._tasks.append(task.task() if isinstance(task, TaskFunction) else task)
        return self

    def add_dependency(self, from_task: str | AnyTask, to_task: str | AnyTask) -> WorkflowBuilder:
        """Let ``to_task`` start only after ``from_task`` succeeded."""
        self._dependencies.append(Dependency(_id_of(from_task), _id_of(to_task)))
        return self

    def set_parallelism(self, max_parallel: int | None) -> WorkflowBuilder:
        """Run at most this many tasks at once; None leaves it to the pool."""
        self._config = replace(self._config, max_parallel=max_parallel)
        return self

    def set_timeout(self, seconds: float | None) -> WorkflowBuilder:
        """End the whole execution after this many seconds; None leaves the platform's limit."""
        self._config = replace(self._config, timeout=seconds)
        return self

    def set_strategy(self, strategy: Strategy | str) -> WorkflowBuilder:
        """Choose the order in which ready tasks are offered to the pool.

        Raises:
            WorkflowInvalidError: There is no such strategy.
        """
        try:
            self._config = replace(self._config, strategy=Strategy(strategy))
        except ValueError:
            raise WorkflowInvalidError(
                f"There is no strategy {strategy!r}.",
                hint=f"Choose one of {', '.join(Strategy)}.",
                code="unknown_strategy",
                path=("strategy",),
            ) from None
        return self

    def set_pool(self, pool: str) -> WorkflowBuilder:
        """Choose the pool of workers that runs it."""
        self._config = replace(self._config, pool=pool)
        return self

    def set_tenant(self, tenant: str) -> WorkflowBuilder:
        """Choose on whose account it counts in its pool."""
        self._config = replace(self._config, tenant=tenant)
        return self

    def set_resource_limits(self, limits: Mapping[str, float]) -> WorkflowBuilder:
        """Bound what its tasks have at once, by resource; see ``WorkflowConfig``."""
        self._config = replace(self._config, limits=dict(limits))
        return self

    def set_metadata(self, metadata: Mapping[str, Any]) -> WorkflowBuilder:
        """Add to what is kept with the workflow and never read by the platform."""
        self._metadata.update(metadata)
        return self

    def set_limits(
        self, *, max_tasks: int | None = None, max_seconds: float | None = None
    ) -> WorkflowBuilder:
        """Raise the limits that the workflow is checked against: its tasks, and its run time in seconds."""
        self._constraints = WorkflowConstraints(
            max_tasks=self._constraints.max_tasks if max_tasks is None else max_tasks,
            max_seconds=self._constraints.max_seconds if max_seconds is None else max_seconds,
        )
        return self

    def set_inputs(self, inputs: Mapping[str, Any]) -> WorkflowBuilder:
        """Declare what a sub-workflow gets from its task, with the defaults; None makes one required."""
        self._inputs.update(inputs)
        return self

    def build(self) -> Workflow:
        """Return the checked, immutable workflow with complete dependencies.

        Raises:
            WorkflowInvalidError: It cannot run; see ``talka_core.validation``.
        """
        return check_with_id(
            Workflow(
                id=self._id if self._id is not None else UNNAMED_ID,
                name=self._name,
                tasks=tuple(self._tasks),
                dependencies=tuple(self._dependencies),
                config=self._config,
                metadata=dict(self._metadata),
                constraints=self._constraints,
                inputs=dict(self._inputs),
            )
        )


UNNAMED_ID = "unnamed"
"""Stands in a workflow whose id is still to be derived."""


def check_with_id(workflow: Workflow) -> Workflow:
    """Check a workflow, and derive its id if it has none yet.

    Raises:
        WorkflowInvalidError: It cannot run.
    """
    checked = check(workflow)
    return replace(checked, id=derived_id(checked)) if checked.id == UNNAMED_ID else checked


def derived_id(workflow: Workflow) -> str:
    """Return an id made of a checked workflow's name and the digest of all but its id and its limits."""
    # Fields one by one, because what msgspec leaves out as a default depends on object identity.
    tasks = [_content(task) for task in workflow.tasks]
    edges = [(edge.from_task, edge.to_task, edge.reason) for edge in workflow.dependencies]
    content = (workflow.name, tasks, edges, _content(workflow.config), workflow.metadata)
    digest = hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
    slug = re.sub(r"[^a-z0-9]+", "-", workflow.name.lower()).strip("-")[:_SLUG_MAX].strip("-")
    return f"{slug or 'workflow'}-{digest[:12]}"


_FIRST_FIELDS: dict[type[Struct], str] = {Task: "labels", WorkflowConfig: "pool", Workflow: "constraints"}
"""The last of the fields that definitions have had from the beginning."""


def _content(struct: Struct) -> dict[str, Any]:
    """Return the fields of a struct; later ones count only where they say something, so that ids stay."""
    content: dict[str, Any] = {}
    for name, is_later, default in _fields_of(type(struct)):
        value = getattr(struct, name)
        if not is_later or value != default:
            content[name] = _plain(value)
    return content


@cache
def _fields_of(kind: type[Struct]) -> tuple[tuple[str, bool, Any], ...]:
    """Return the name of each field, whether it came later, and its default."""
    infos = fields(kind)
    names = [info.name for info in infos]
    known = names.index(_FIRST_FIELDS[kind]) + 1 if kind in _FIRST_FIELDS else len(names)
    return tuple((info.name, place >= known, info.default) for place, info in enumerate(infos))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Workflow):
        value = replace(value, constraints=WorkflowConstraints())
    return _content(value) if isinstance(value, Struct) else value


def _id_of(task: str | AnyTask) -> str:
    return task if isinstance(task, str) else task.id
