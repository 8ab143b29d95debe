"""Between scheduler and planner: what tasks add to the graph that they are in."""

from __future__ import annotations

from msgspec import Struct

from talka_protocols.messages.kinds import ToExecution
from talka_protocols.workflow import Dependency, Extension, Workflow


class Refusal(Struct, frozen=True):
    """Why the planner refused."""

    code: str
    message: str


class ExtendPlan(ToExecution, frozen=True, gc=False):
    """The scheduler asks whether a task may add this to its graph.

    ``graph`` holds what the addition may touch: the tasks that have not
    started (``pending``), those that it names, and the dependencies among them.
    """

    task_id: str
    attempt: int
    extension: Extension
    graph: Workflow
    pending: tuple[str, ...] = ()


class AnswerExtension(ToExecution, frozen=True, gc=False):
    """The planner's answer to ``ExtendPlan``; see ``ExtensionJudged``."""

    task_id: str
    attempt: int
    dependencies: tuple[Dependency, ...] = ()
    refusal: Refusal | None = None
