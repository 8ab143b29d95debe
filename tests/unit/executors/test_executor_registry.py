"""Executors by agent type: built-in, registered, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.outputs import OUTPUTS
from talka_core.scheduler.waiting import WAITING_TYPES
from talka_protocols.errors import CallerError
from talka_protocols.ports import Attempt
from talka_services.executors.registry import Executors, ExecutorSettings, UnknownAgentTypeError


class _Recorded:
    def __init__(self, fails: bool = False) -> None:
        self.closed = 0
        self.fails = fails

    async def execute(self, attempt: Attempt) -> Any:
        return attempt.task.id

    async def close(self) -> None:
        self.closed += 1
        if self.fails:
            raise RuntimeError("cannot close")


async def test_the_built_in_types_are_there() -> None:
    """Each type whose outputs are declared has an executor behind an entry point, built once, or waits."""
    executors = Executors(ExecutorSettings())
    run = set(OUTPUTS) - WAITING_TYPES
    assert run <= set(executors.agent_types)
    for agent_type in run:
        assert executors.for_agent_type(agent_type) is executors.for_agent_type(agent_type)
    await executors.close()


async def test_an_unknown_type_is_explained() -> None:
    """The error names what there is and what was probably meant."""
    with pytest.raises(UnknownAgentTypeError, match=r"Did you mean 'command'.*python") as caught:
        Executors().for_agent_type("comand")
    assert isinstance(caught.value, CallerError)
    assert "sleep" in caught.value.known


async def test_registered_ones_come_first_and_are_closed_once() -> None:
    """A registered executor replaces an entry point, may serve several types, and is closed once."""
    executors, own = Executors(), _Recorded()
    executors.register("sleep", own)
    executors.register("review", own)
    assert executors.for_agent_type("sleep") is own
    assert "review" in executors.agent_types
    await executors.close()
    assert own.closed == 1


async def test_a_type_is_registered_once() -> None:
    """Registering a type twice is refused."""
    executors = Executors()
    executors.register("review", _Recorded())
    with pytest.raises(CallerError, match="already has an executor"):
        executors.register("review", _Recorded())


async def test_an_agent_serves_its_capabilities() -> None:
    """An agent is registered under its type and each of its capabilities, as one executor."""

    class Reviewer:
        capabilities = ("review", "comment")

        def on_task(self, task: Any) -> str:
            return "fine"

    executors = Executors()
    executor = executors.register_agent("reviewer", Reviewer())
    assert {"reviewer", "review", "comment"} <= set(executors.agent_types)
    assert executors.for_agent_type("comment") is executors.for_agent_type("reviewer") is executor
    await executors.close()


async def test_one_failing_close_does_not_keep_others_open() -> None:
    """All executors are closed, and the failure is seen."""
    executors, first, last = Executors(), _Recorded(), _Recorded()
    executors.register("a", first)
    executors.register("b", _Recorded(fails=True))
    executors.register("c", last)
    with pytest.raises(RuntimeError, match="cannot close"):
        await executors.close()
    assert (first.closed, last.closed) == (1, 1)
