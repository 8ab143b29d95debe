"""Which executor serves which agent type: entry points, and executors registered by hand."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint, entry_points
from math import ceil
from typing import Literal

from msgspec import Struct, field

from talka_protocols.errors import CallerError
from talka_protocols.ports import Executor
from talka_services.executors.agents import AgentExecutor
from talka_services.executors.environment import DEFAULT_VARIABLES
from talka_services.machine import usable_cores

GROUP = "talka.executors"
OUTPUT_BYTES_MAX = 64 * 1024


class ExecutorSettings(Struct, frozen=True):
    """What a worker lets its executors do.

    ``allow_modules`` are dotted module names, each allowing what is below it
    too; ``allow_commands`` are program names or paths; ``"*"`` allows all.
    ``processes`` is how many child processes run COMPUTE tasks of ``python``
    at once (as many again serve the other tasks), ``threads`` how many plain
    functions one of those others runs at once. ``output_bytes_max`` bounds
    each stream that is kept. ``work_dir`` is where tasks start (None: where
    the worker is). ``environment`` names the worker's variables that tasks
    see (patterns; ``"*"`` is all but ``TALKA_*``). ``child_output`` says what
    becomes of what Python tasks print: thrown away, or to the worker's
    standard error. ``stop_grace_s`` (seconds) passes between asking a
    cancelled task to end and killing it. ``time_scale`` multiplies ``sleep``.
    """

    allow_modules: tuple[str, ...] = ()
    allow_commands: tuple[str, ...] = ()
    processes: int = field(default_factory=lambda: ceil(usable_cores()))
    threads: int = 64
    output_bytes_max: int = OUTPUT_BYTES_MAX
    work_dir: str | None = None
    environment: tuple[str, ...] = DEFAULT_VARIABLES
    child_output: Literal["discard", "stderr"] = "discard"
    stop_grace_s: float = 2.0
    time_scale: float = 1.0


Factory = Callable[[ExecutorSettings], Executor]


class UnknownAgentTypeError(CallerError):
    """No executor and no agent here serves this agent type."""

    code = "unknown_agent_type"

    def __init__(self, agent_type: str, known: tuple[str, ...]) -> None:
        near = difflib.get_close_matches(agent_type, known, n=1)
        question = f"Did you mean {near[0]!r}? " if near else ""
        super().__init__(
            f"This worker has no executor for the agent type {agent_type!r}.",
            hint=f"{question}It serves: {', '.join(known) or 'none'}.",
        )
        self.agent_type = agent_type
        self.known = known


class Executors:
    """Gives the executor for an agent type, each built when it is first needed."""

    def __init__(self, settings: ExecutorSettings | None = None) -> None:
        self.settings = settings or ExecutorSettings()
        self._points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}
        self._built: dict[str, Executor] = {}
        self._by_hand: set[str] = set()

    @property
    def agent_types(self) -> tuple[str, ...]:
        """Every agent type that is served, sorted."""
        return tuple(sorted({*self._points, *self._built}))

    def register(self, agent_type: str, executor: Executor) -> None:
        """Serve ``agent_type`` with ``executor``, which this then owns and closes.

        It takes the place of an entry point of the same name.

        Raises:
            CallerError: another executor was registered, or is in use, under this name.
        """
        if agent_type in self._built:
            raise CallerError(
                f"The agent type {agent_type!r} already has an executor here.",
                hint="Register each type once, before the worker takes its first task.",
            )
        self._built[agent_type] = executor
        self._by_hand.add(agent_type)

    def register_agent(self, agent_type: str, agent: object) -> AgentExecutor:
        """Serve ``agent_type`` and the agent's capabilities with an agent of the platform.

        The executor is returned for its ``slots``.

        Raises:
            CallerError: the object has no shape of an agent, or a type is taken.
        """
        executor = AgentExecutor(agent)
        for served in executor.agent_types(agent_type):
            self.register(served, executor)
        return executor

    def for_agent_type(self, agent_type: str) -> Executor:
        """Return the executor of this agent type.

        Raises:
            UnknownAgentTypeError: there is none; names the known ones and the closest.
            CallerError: its package cannot be loaded.
        """
        executor = self._built.get(agent_type)
        if executor is None:
            executor = self._built[agent_type] = self._build(agent_type)
        return executor

    async def close(self) -> None:
        """Close every executor once, also when another one's close raises."""
        executors = {id(executor): executor for executor in self._built.values()}
        for agent_type in set(self._built) - self._by_hand:
            del self._built[agent_type]
        async with AsyncExitStack() as stack:
            for executor in executors.values():
                stack.push_async_callback(executor.close)

    def _build(self, agent_type: str) -> Executor:
        point = self._points.get(agent_type)
        if point is None:
            raise UnknownAgentTypeError(agent_type, self.agent_types)
        try:
            factory: Factory = point.load()
        except (ImportError, AttributeError) as error:
            raise CallerError(
                f"The executor of {agent_type!r} ({point.value}) cannot be loaded: {error}.",
                hint="Reinstall the package that offers it, or remove it.",
            ) from error
        return factory(self.settings)
