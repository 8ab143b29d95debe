"""``execution.<id>``: how a graph grows while it runs."""

from __future__ import annotations

from talka_protocols.events.fact import Fact
from talka_protocols.workflow import Dependency, Task


class TasksAdded(Fact, frozen=True, gc=False):
    """The graph has more tasks and dependencies: items of a map, what a task added, or what undoes others.

    ``by`` is the task that they came from, and ``reason`` says why they were added.
    """

    tasks: tuple[Task, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    by: str = ""
    reason: str = ""
