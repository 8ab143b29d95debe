"""A workflow from the command line: the file or function, its inputs and limits, and who could run it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from talka_core.default_strategy import by_strategy
from talka_core.sharing import check_sharing
from talka_core.strategies import strategy_of
from talka_core.validation import check
from talka_protocols.errors import TalkaError, WorkflowInvalidError
from talka_protocols.workflow import Strategy, Task, Workflow, WorkflowConfig
from talka_services.cli.admission import check_mode, with_deadline
from talka_services.cli.outcome import UsageError
from talka_services.formats import Source, is_function, load_function, machines, parse_inputs, read_file
from talka_services.formats import workflow_of as workflow_of_source
from talka_services.formats.instances import is_instance, read_instance
from talka_services.strategies import fault_of


@dataclass(frozen=True)
class Request:
    """What was asked for: FILE and the flags that change the workflow."""

    file: str
    inputs: Sequence[str] = ()
    max_tasks: int | None = None
    max_seconds: float | None = None
    strategy: str | None = None
    deadline: str | None = None
    deadlines: str = "warn"
    improve_s: float = 0.0
    tenant: str | None = None
    is_open: bool = False
    """The inputs of a file are given later."""


@dataclass(frozen=True)
class Loaded:
    """A checked workflow, and what the machines of its trace offered (empty if it is none).

    ``deadlines`` says what becomes of it if they cannot be met: warn, require or ignore.
    ``improve_s`` is for how long a shorter schedule is searched for while it runs.
    """

    workflow: Workflow
    machines: Sequence[dict[str, float]] = ()
    source: Source | None = field(default=None, repr=False)
    deadlines: str = "warn"
    improve_s: float = 0.0

    def check(self, agent_types: frozenset[str] | None, ceiling: Mapping[str, float] | None) -> None:
        """Refuse what these workers can never run.

        Raises:
            WorkflowInvalidError: with the place in the file.
        """
        try:
            check(self.workflow, agent_types=agent_types, ceiling=ceiling)
        except WorkflowInvalidError as error:
            raise (self.source.located(error) if self.source else error) from None

    def scaled(self, scale: float) -> Loaded:
        """Return it with the run times of its ``sleep`` tasks multiplied in the definition itself."""
        tasks = tuple(_scaled(task, scale) for task in self.workflow.tasks)
        return replace(self, workflow=msgspec.structs.replace(self.workflow, tasks=tasks))


def load_workflow(request: Request) -> Loaded:
    """Read and check a workflow; nothing is started or stored.

    Raises:
        WorkflowInvalidError: it is invalid, with the place where.
        UsageError: the strategy does not exist, or the deadline has passed.
    """
    inputs = parse_inputs(request.inputs)
    offered: Sequence[dict[str, float]] = []
    if is_instance(request.file):
        instance, source = read_instance(request.file), None
        workflow = instance.workflow
        offered = [instance.capacity] if instance.capacity else []
    elif is_function(request.file):
        workflow, source = _call(request, inputs), None
    else:
        source = read_file(request.file)
        workflow = workflow_of_source(
            source,
            max_tasks=request.max_tasks,
            max_seconds=request.max_seconds,
            inputs=inputs,
            is_open=request.is_open,
        )
        offered = machines(source.value) if source.is_wfformat else []
    if request.strategy is not None:
        config = with_strategy(workflow.config, request.strategy)
        workflow = msgspec.structs.replace(workflow, config=config)
    if request.tenant is not None:
        config = msgspec.structs.replace(workflow.config, tenant=request.tenant)
        workflow = msgspec.structs.replace(workflow, config=config)
        check_sharing(workflow)
    workflow = with_deadline(workflow, request.deadline)
    if request.improve_s:
        check_improvable(workflow)
    return Loaded(workflow, offered, source, check_mode(request.deadlines), request.improve_s)


def check_improvable(workflow: Workflow) -> None:
    """Refuse to search for a schedule that the strategy would not follow.

    Raises:
        UsageError: it is another one than ``resource_optimized``.
    """
    if workflow.config.strategy is not Strategy.RESOURCE_OPTIMIZED:
        raise UsageError(
            f"--improve searches for a schedule, and {strategy_of(workflow.config)} would not follow it.",
            hint="Add --strategy resource_optimized.",
        )


def _call(request: Request, inputs: Mapping[str, Any]) -> Workflow:
    """Call the user's function; what it raises is the user's to read, without our frames."""
    try:
        return load_function(
            request.file, max_tasks=request.max_tasks, max_seconds=request.max_seconds, inputs=inputs
        )
    except TalkaError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise WorkflowInvalidError(
            f"{request.file} raised {type(error).__name__}: {error}.",
            hint="Correct the function, or give it its arguments with --input.",
            code="function_raised",
            file=frame.filename,
            line=frame.lineno,
        ) from error


def with_strategy(config: WorkflowConfig, name: str) -> WorkflowConfig:
    """Return the settings with another strategy: a built-in one, or one that a package brings.

    Raises:
        UsageError: there is no such strategy.
    """
    return by_strategy(config, known_strategy(name))


def known_strategy(name: str) -> str:
    """Return the name of a strategy, be it built in or brought by a package.

    Raises:
        UsageError: there is no such strategy.
    """
    if fault := fault_of(name):
        what, hint = fault
        raise UsageError(what, hint=hint)
    return name


def _scaled(task: Task, scale: float) -> Task:
    seconds = task.payload.get("seconds")
    if task.agent_type != "sleep" or not isinstance(seconds, int | float):
        return task
    estimated = task.estimated_seconds
    return msgspec.structs.replace(
        task,
        payload={**task.payload, "seconds": seconds * scale},
        estimated_seconds=None if estimated is None else estimated * scale,
    )
