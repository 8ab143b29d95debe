"""Goal: a decorated function stays callable, and its signature says what its tasks need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from talka_core.builder import WorkflowBuilder
from talka_core.tasks import task
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, ResourceRequirements, Task


@task
def fetch(url: str) -> dict[str, int]:
    """Say how long the address is."""
    return {"length": len(url)}


@task(retries=3, priority=80, resources=ResourceRequirements(cpu_cores=2), name="Parse it", writes=["out"])
def parse(fetch: dict[str, int], factor: int = 2) -> int:
    """Multiply."""
    return fetch["length"] * factor


def test_still_callable() -> None:
    """A decorated function is called as ever, and keeps its name and documentation."""
    assert parse(fetch("abc")) == 6
    assert vars(parse)["__name__"] == "parse"
    assert parse.__doc__ == "Multiply."


def test_task() -> None:
    """A task holds the import path, the arguments and the options."""
    made = parse.task(factor=5)
    assert made.id == "parse"
    assert made.agent_type == "python"
    assert made.payload == {"call": f"{__name__}:parse", "arguments": {"factor": 5, "fetch": "${fetch}"}}
    assert (made.retries, made.priority, made.name, made.writes) == (3, 80, "Parse it", ("out",))
    assert made.resources.cpu_cores == 2


def test_dependency_by_parameter_name() -> None:
    """A required parameter without an argument refers to the task of its name."""
    workflow = WorkflowBuilder("f").add_task(parse).add_task(fetch.task(url="x")).build()
    assert workflow.dependencies == (Dependency("fetch", "parse", "reference ${fetch}"),)


def test_argument_instead_of_dependency() -> None:
    """A parameter that has an argument depends on nothing."""
    workflow = WorkflowBuilder("f").add_task(parse.task(fetch={"length": 1})).build()
    assert workflow.dependencies == ()


def test_tasks_as_arguments() -> None:
    """Another task, or function, given as an argument stands for its result."""
    other = fetch.with_options(id="other", retries=1)
    made = parse.task(fetch=other)
    assert made.payload["arguments"] == {"fetch": "${other}"}
    assert parse.task(fetch=other.task(url="x")).payload == made.payload
    assert fetch.task(url="x").retries == 0


def test_missing_task() -> None:
    """A required parameter that no task is named after is refused."""
    with pytest.raises(WorkflowInvalidError, match=r"refers to \$\{url\}"):
        WorkflowBuilder("f").add_task(fetch).build()


def test_unknown_argument_and_option() -> None:
    """A misspelt argument or option is refused with what was probably meant."""
    with pytest.raises(WorkflowInvalidError, match="Did you mean 'factor'"):
        parse.task(facto=1)
    misspelt: Any = {"retriees": 3}
    with pytest.raises(TypeError, match="Did you mean 'retries'"):
        task(**misspelt)(_plain)


def _plain() -> None:
    """Do nothing."""


def _positional(x: int, /) -> int:
    return x


@pytest.mark.parametrize("function", [lambda: None, _positional])
def test_refused_functions(function: Callable[..., Any]) -> None:
    """What a worker could not import or call by names is refused when it is decorated."""
    with pytest.raises(WorkflowInvalidError):
        task(function)


def test_main_module() -> None:
    """A function of a script goes by the script's name, so that a worker can import it."""
    space: dict[str, Any] = {"__name__": "__main__", "__file__": "/some/where/job.py"}
    exec("def work(): pass", space)
    made: Task = task(space["work"]).task()
    assert made.payload["call"] == "job:work"
