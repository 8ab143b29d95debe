"""The shapes that an agent of the platform may have, as structural types.

Each method may be a plain one or ``async``; no class needs to inherit from these.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from talka_protocols.workflow import Task

SHAPES = (
    "can_handle_task(str) -> bool with execute_task(dict)",
    "execute_task(Task)",
    "on_task(Task)",
    "process(Event)",
)
"""For people, in the order in which they are looked for."""


class Event(Struct, frozen=True):
    """What an event-driven agent is given: ``type`` is "task", ``source`` names who asks.

    ``id`` is the task's idempotency key, so that a repeated event can be
    told. ``data`` is the task as plain data and, under ``context``, the
    attempt. It carries no time: the log has that.
    """

    id: str
    type: str
    source: str
    data: dict[str, Any]


@runtime_checkable
class SelectiveAgent(Protocol):
    """An agent that is asked first whether it can do what the text describes."""

    def can_handle_task(self, description: str, /) -> Any:
        """Tell whether it can."""
        ...

    def execute_task(self, task: dict[str, Any], /) -> Any:
        """Do it."""
        ...


@runtime_checkable
class TaskAgent(Protocol):
    """An agent that executes tasks."""

    def execute_task(self, task: Task, /) -> Any:
        """Do it."""
        ...


@runtime_checkable
class ListeningAgent(Protocol):
    """An agent that is told of tasks."""

    def on_task(self, task: Task, /) -> Any:
        """Do it."""
        ...


@runtime_checkable
class EventAgent(Protocol):
    """An agent that processes events."""

    def process(self, event: Event, /) -> Any:
        """Do it."""
        ...
