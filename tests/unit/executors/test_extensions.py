"""Goal: whatever runs a task, what the task adds to its graph comes back with its result."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from talka import Dependency, Extended, Task
from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.agents import AgentExecutor
from talka_services.executors.python import PythonExecutor

Make = Callable[..., Attempt]
GROWN = Extended({"n": 1}, (Task("a", "sleep"), Task("b", "sleep")), (Dependency("a", "b"),))


class Planner:
    """An agent that plans by adding tasks."""

    async def execute_task(self, task: Task) -> Extended:
        """Return a list in place of a tuple, as people do."""
        return Extended({"n": 1}, list(GROWN.tasks), list(GROWN.dependencies))


async def test_function_in_a_child_process_adds_tasks(python: PythonExecutor, call: Make) -> None:
    """Result and addition pass between the processes."""
    assert await python.execute(call("grow", kind="well")) == GROWN


async def test_agent_adds_tasks(attempt: Make) -> None:
    """An agent returns the same as a function."""
    assert await AgentExecutor(Planner()).execute(attempt()) == GROWN


@pytest.mark.parametrize(
    ("kind", "part"),
    [("nonsense", "cannot be recorded"), ("unencodable", "cannot be recorded"), ("large", "bytes, above")],
)
async def test_what_cannot_be_added_fails_its_own_task(
    python: PythonExecutor, call: Make, kind: str, part: str
) -> None:
    """The child process and its other tasks go on."""
    with pytest.raises(TaskFailedError, match=part):
        await python.execute(call("grow", kind=kind))
    assert await python.execute(call("add", a=1, b=2)) == 3
