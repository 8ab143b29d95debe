"""``execution.<id>``: how a graph grows while it runs."""

from __future__ import annotations

from msgspec import Raw

from talka_protocols.events.fact import Fact
from talka_protocols.workflow import ClaimCheck, Dependency, Extension, Task


class TasksAdded(Fact, frozen=True, gc=False):
    """The graph has more tasks and dependencies: items of a map, what a task added, or what undoes others.

    ``by`` is the task that they came from, and ``reason`` says why they were added.
    """

    tasks: tuple[Task, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    by: str = ""
    reason: str = ""


class ExtensionRequested(Fact, frozen=True, gc=False):
    """The attempt returned and adds to the graph; it has succeeded once the planner has judged that."""

    task_id: str
    attempt: int
    finished_at: int
    extension: Extension
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}


class ExtensionAccepted(Fact, frozen=True, gc=False):
    """The graph grows as the task asked; ``dependencies`` are all that are new, detected ones included."""

    task_id: str
    attempt: int
    dependencies: tuple[Dependency, ...] = ()


class ExtensionRefused(Fact, frozen=True, gc=False):
    """The graph stays as it is; the task has succeeded all the same, and the execution goes on."""

    task_id: str
    attempt: int
    code: str
    message: str
