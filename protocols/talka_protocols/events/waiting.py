"""``execution.<id>``: what waits for time, for people or for the outside, and what was asked of it."""

from __future__ import annotations

from msgspec import Raw

from talka_protocols.events.fact import Fact


class TaskWaiting(Fact, frozen=True, gc=False):
    """The task waits without holding anything: for ``kind`` (see ``talka_core.scheduler.waiting``).

    ``due_at`` is when it waits no longer, 0 for never; ``name`` is what it waits
    for and ``data`` what it shows or asks.
    """

    task_id: str
    attempt: int
    kind: str
    name: str = ""
    due_at: int = 0
    data: Raw = Raw(b"null")


class SignalReceived(Fact, frozen=True, gc=False):
    """The outside sent a signal; it is kept until a task waits for its ``name``."""

    name: str
    signal_id: str
    data: Raw = Raw(b"null")
    trigger: str = ""


class SignalTaken(Fact, frozen=True, gc=False):
    """A kept signal goes to a task that waits for it, whose result its data becomes."""

    task_id: str
    attempt: int
    name: str
    signal_id: str


class ApprovalAnswered(Fact, frozen=True, gc=False):
    """Somebody answered what the task asks; ``is_default`` says that its deadline did."""

    task_id: str
    attempt: int
    choice: str
    by: str = ""
    comment: str = ""
    is_default: bool = False
    request_id: str = ""


class ChildStarted(Fact, frozen=True, gc=False):
    """The planner has recorded the task's sub-workflow, so it will be carried out."""

    task_id: str
    attempt: int
    child_id: str


class ParentInformed(Fact, frozen=True, gc=False):
    """The execution that this one is a sub-workflow of has recorded how it ended."""


class RequestRefused(Fact, frozen=True, gc=False):
    """Somebody asked for what could not be done; nothing else has changed."""

    request: str
    code: str
    message: str
    task_id: str = ""
    request_id: str = ""
