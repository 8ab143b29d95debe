"""Lets the platform's agents run tasks, whatever class they are of: only the shape of the object counts.

The shapes are in ``shapes``. Plain methods run in threads of their own, async
ones in the loop. A thread cannot be stopped, and a coroutine may refuse to:
such a task's cancellation goes on after a grace, and its slot stays taken
until the method returns.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from talka_protocols.errors import CallerError, NotAllowedError, TaskError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.context import context_of, plain_context_of
from talka_services.executors.failures import describe, kinds_of
from talka_services.executors.functions import has_context
from talka_services.executors.results import normalised
from talka_services.executors.shapes import (
    SHAPES,
    Event,
    EventAgent,
    ListeningAgent,
    SelectiveAgent,
    TaskAgent,
)
from talka_services.executors.stopping import is_cancelling, uninterrupted
from talka_services.executors.threads import in_thread

EVENT_TYPE = "task"
STOP_GRACE_S = 2.0
_Runner = Callable[[Attempt], Awaitable[Any]]


class AgentExecutor:
    """Runs tasks through one agent object; whatever it returns becomes plain data.

    Raises:
        CallerError: the object has none of the shapes, or states nonsense about itself.
    """

    def __init__(self, agent: object) -> None:
        self._agent = agent
        self._name = type(agent).__name__
        self._run = self._runner(agent)
        self._slots = self._stated_slots()
        self._free = asyncio.Semaphore(self._slots)

    @property
    def slots(self) -> int:
        """How many tasks it runs at once: the agent's ``max_concurrent_tasks``, or 1."""
        return self._slots

    def agent_types(self, agent_type: str) -> tuple[str, ...]:
        """Return the agent types it serves: ``agent_type`` and the agent's ``capabilities``.

        Raises:
            CallerError: ``capabilities`` is not a list of texts.
        """
        stated: Any = getattr(self._agent, "capabilities", ())
        if callable(stated):
            stated = stated()
        names: list[Any] = [*stated] if isinstance(stated, Iterable) else [stated]
        if isinstance(stated, str) or not all(isinstance(name, str) for name in names):
            raise CallerError(
                f"The capabilities of the agent {self._name} are {stated!r}.",
                hint="Make `capabilities` a list of agent types, or a method that returns one.",
            )
        return tuple(dict.fromkeys([agent_type, *names]))

    async def execute(self, attempt: Attempt) -> Any:
        """Have the agent do the task.

        Raises:
            NotAllowedError: the agent said that it cannot handle it.
            TaskFailedError: the agent raised, or returned what cannot be recorded.
        """
        await self._free.acquire()
        work = asyncio.ensure_future(self._run(attempt))
        work.add_done_callback(self._ended)
        try:
            return normalised(await asyncio.shield(work))
        except asyncio.CancelledError:
            await uninterrupted(self._stop(work))
            if is_cancelling():
                raise
            raise TaskFailedError(
                f"The agent {self._name} cancelled the task {attempt.task.id!r} itself."
            ) from None
        except (TaskError, NotAllowedError):
            raise
        except Exception as error:
            raise TaskFailedError(describe(error), kinds=kinds_of(error)) from error

    async def close(self) -> None:
        """Leave the agent alone: whoever made it ends it."""

    def _ended(self, work: asyncio.Future[Any]) -> None:
        self._free.release()
        if not work.cancelled():
            # Asked for here because after a cancellation nobody else does.
            work.exception()

    @staticmethod
    async def _stop(work: asyncio.Future[Any]) -> None:
        work.cancel()
        await asyncio.wait({work}, timeout=STOP_GRACE_S)

    def _runner(self, agent: object) -> _Runner:
        if inspect.isclass(agent):
            raise CallerError(
                f"{agent.__name__} is a class, not an agent.",
                hint=f"Register an instance: {agent.__name__}(...).",
            )
        if isinstance(agent, SelectiveAgent):
            return functools.partial(self._run_selective, agent)
        if isinstance(agent, TaskAgent):
            return lambda attempt: _call(agent.execute_task, attempt.task, attempt)
        if isinstance(agent, ListeningAgent):
            return lambda attempt: _call(agent.on_task, attempt.task, attempt)
        if isinstance(agent, EventAgent):
            return lambda attempt: _call(agent.process, _event(attempt), attempt)
        raise CallerError(
            f"An object of class {self._name} cannot run tasks.",
            hint=f"Give it one of these: {'; '.join(SHAPES)}.",
        )

    async def _run_selective(self, agent: SelectiveAgent, attempt: Attempt) -> Any:
        description = _description(attempt)
        if not await _call(agent.can_handle_task, description):
            raise NotAllowedError(
                f"The agent {self._name} cannot handle {description!r} (task {attempt.task.id!r}), it says.",
                hint="Send the task to another agent type, or describe it otherwise.",
            )
        return await _call(agent.execute_task, _plain(attempt), attempt)

    def _stated_slots(self) -> int:
        stated: Any = getattr(self._agent, "max_concurrent_tasks", 1)
        if not isinstance(stated, int) or stated < 1:
            raise CallerError(
                f"max_concurrent_tasks of the agent {self._name} is {stated!r}.",
                hint="Make it a whole number of at least 1.",
            )
        return stated


async def _call(method: Callable[..., Any], argument: object, attempt: Attempt | None = None) -> Any:
    """Call a method in the loop or in a thread, with the attempt's context if it has a parameter for it."""
    is_async = inspect.iscoroutinefunction(method)
    if attempt is not None and has_context(method):
        loop = asyncio.get_running_loop()
        context = context_of(attempt) if is_async else plain_context_of(attempt, loop)
        method = functools.partial(method, context=context)
    if is_async:
        return await method(argument)
    result = await in_thread(functools.partial(method, argument))
    return await result if inspect.isawaitable(result) else result


def _description(attempt: Attempt) -> str:
    """Return what a selective agent is asked about: the payload's description, the name, or the type."""
    task = attempt.task
    stated = task.payload.get("description")
    return stated if isinstance(stated, str) else task.name or task.agent_type


def _plain(attempt: Attempt) -> dict[str, Any]:
    context = context_of(attempt)
    return {
        **msgspec.to_builtins(attempt.task),
        "context": {
            "execution_id": context.execution_id,
            "attempt": context.attempt,
            "fence": context.fence,
            "idempotency_key": context.idempotency_key,
            "worker_id": context.worker_id,
        },
    }


def _event(attempt: Attempt) -> Event:
    return Event(
        id=attempt.idempotency_key,
        type=EVENT_TYPE,
        source=f"talka/{attempt.execution_id}",
        data=_plain(attempt),
    )
