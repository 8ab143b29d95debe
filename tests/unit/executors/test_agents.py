"""The platform's agents, by their shape."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from talka_protocols.errors import CallerError, NotAllowedError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task
from talka_services.executors.agents import AgentExecutor
from talka_services.executors.shapes import Event

Make = Callable[..., Attempt]


class _Report(Struct):
    task_id: str


@dataclasses.dataclass
class _Note:
    task_id: str


class _Async:
    async def execute_task(self, task: Task) -> _Report:
        return _Report(task.id)


class _Plain:
    def execute_task(self, task: Task) -> _Note:
        assert threading.current_thread() is not threading.main_thread()
        return _Note(task.id)


class _Listening:
    async def on_task(self, task: Task) -> dict[str, str]:
        return {"task_id": task.id}


class _Eventful:
    def process(self, event: Event) -> dict[str, Any]:
        assert (event.type, event.source, event.id) == ("task", "talka/e", "e/t")
        return {"task_id": event.data["id"]}


class _Selective:
    def can_handle_task(self, description: str) -> bool:
        return "code" in description

    async def execute_task(self, task: dict[str, Any]) -> dict[str, Any]:
        assert (task["context"]["fence"], task["context"]["idempotency_key"]) == (7, "e/t")
        return {"task_id": task["id"]}


class _Delegating:
    def __init__(self) -> None:
        self.inner = _Async()

    def execute_task(self, task: Task) -> Any:
        return self.inner.execute_task(task)


@pytest.mark.parametrize("kind", [_Async, _Plain, _Listening, _Eventful, _Selective, _Delegating])
async def test_every_shape_runs(kind: type, attempt: Make) -> None:
    """Each shape, plain or async, gets the task and gives plain data."""
    assert await AgentExecutor(kind()).execute(attempt(description="write code")) == {"task_id": "t"}


async def test_a_text_is_a_result(attempt: Make) -> None:
    """An agent that answers in words is fine."""

    class Talker:
        def on_task(self, task: Task) -> str:
            return "done"

    assert await AgentExecutor(Talker()).execute(attempt()) == "done"


async def test_an_agent_may_decline(attempt: Make) -> None:
    """An agent that says it cannot handle the task is not made to."""
    with pytest.raises(NotAllowedError, match="cannot handle 'bake bread'"):
        await AgentExecutor(_Selective()).execute(attempt(description="bake bread"))


@pytest.mark.parametrize("agent", [object(), 3, "text"])
def test_other_objects_are_refused(agent: object) -> None:
    """An object of no shape is refused with the list of all four."""
    with pytest.raises(CallerError, match=r"can_handle_task.*execute_task.*on_task.*process"):
        AgentExecutor(agent)


def test_a_class_is_no_agent() -> None:
    """Registering the class instead of an instance is noticed at once."""
    with pytest.raises(CallerError, match="Register an instance"):
        AgentExecutor(_Async)


async def test_failures_are_described(attempt: Make) -> None:
    """What an agent raises, off the loop or in it, fails the task with type and text."""

    class Broken:
        def execute_task(self, task: Task) -> None:
            raise LookupError("no model")

    class Leaving:
        def execute_task(self, task: Task) -> None:
            raise SystemExit(3)

    class Odd:
        async def execute_task(self, task: Task) -> object:
            return object()

    for agent, text in ((Broken(), "LookupError: no model"), (Leaving(), "SystemExit"), (Odd(), "'object'")):
        with pytest.raises(TaskFailedError, match=text):
            await AgentExecutor(agent).execute(attempt())


def test_capabilities_are_agent_types() -> None:
    """Capabilities, as an attribute or a method, are served besides the given type, each once."""

    class Listed(_Async):
        capabilities = ("review", "test", "review")
        max_concurrent_tasks = 3

    class Asked(_Async):
        def capabilities(self) -> list[str]:
            return ["review"]

    assert AgentExecutor(Listed()).agent_types("code") == ("code", "review", "test")
    assert AgentExecutor(Asked()).agent_types("review") == ("review",)
    assert AgentExecutor(_Async()).agent_types("code") == ("code",)
    assert (AgentExecutor(Listed()).slots, AgentExecutor(_Async()).slots) == (3, 1)


@pytest.mark.parametrize("stated", ["review", 3, [1]])
def test_nonsense_capabilities_are_refused(stated: object) -> None:
    """A text is not a list of texts."""

    class Nonsense(_Async):
        capabilities = stated

    with pytest.raises(CallerError, match="capabilities"):
        AgentExecutor(Nonsense()).agent_types("code")


def test_nonsense_slots_are_refused() -> None:
    """Slots are a whole number of at least one."""

    class Nonsense(_Async):
        max_concurrent_tasks = 0

    with pytest.raises(CallerError, match="max_concurrent_tasks"):
        AgentExecutor(Nonsense())


async def test_slots_bound_what_runs_at_once(attempt: Make) -> None:
    """No more tasks are in the agent at once than it says it takes."""

    class Counting:
        max_concurrent_tasks = 2
        now = most = 0

        async def execute_task(self, task: Task) -> None:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1

    agent = Counting()
    executor = AgentExecutor(agent)
    await asyncio.gather(*(executor.execute(attempt()) for _ in range(10)))
    assert agent.most == 2


async def test_cancelling_reaches_an_async_agent(attempt: Make) -> None:
    """An async agent has cleaned up when the cancellation goes on."""
    started, cleaned = asyncio.Event(), asyncio.Event()

    class Waiting:
        async def execute_task(self, task: Task) -> None:
            started.set()
            try:
                await asyncio.sleep(600)
            finally:
                cleaned.set()

    task = asyncio.create_task(AgentExecutor(Waiting()).execute(attempt()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()


async def test_a_thread_keeps_its_slot(attempt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain method that goes on after its cancellation holds the slot until it returns."""
    monkeypatch.setattr("talka_services.executors.agents.STOP_GRACE_S", 0.05)
    go, started = threading.Event(), threading.Event()

    class Blocking:
        def execute_task(self, task: Task) -> str:
            started.set()
            go.wait(30)
            return "late"

    executor = AgentExecutor(Blocking())
    first = asyncio.create_task(executor.execute(attempt()))
    await asyncio.to_thread(started.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(executor.execute(attempt()))
    await asyncio.sleep(0.05)
    assert not second.done()
    go.set()
    assert await second == "late"


async def test_an_agent_that_cancels_itself_has_failed(attempt: Make) -> None:
    """A CancelledError of the agent's own making is a failure, not a cancellation of the worker."""

    class Quitter:
        async def execute_task(self, task: Task) -> None:
            raise asyncio.CancelledError

    with pytest.raises(TaskFailedError, match="cancelled the task 't' itself"):
        await AgentExecutor(Quitter()).execute(attempt())
