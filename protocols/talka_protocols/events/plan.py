"""``plan.<id>``, written by the planner."""

from __future__ import annotations

from talka_protocols.baseline import Baseline
from talka_protocols.events.adoption import Origin
from talka_protocols.events.fact import Fact, Parent
from talka_protocols.workflow import ClaimCheck, Dependency, Workflow


class PlanAccepted(Fact, frozen=True, gc=False):
    """The workflow can run; the figures say what was found out about it (seconds).

    ``schedule`` or ``trigger`` names what asked for the execution. ``order`` are
    the tasks' positions in the order in which they should start, where one was
    planned for all of them. ``improve_s`` is for how long a shorter schedule is searched for meanwhile.
    """

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    critical_path: tuple[str, ...] = ()
    stages: int = 0
    estimated_duration: float = 0.0
    lower_bound: float = 0.0
    parent: Parent | None = None
    schedule: str = ""
    origin: Origin | None = None
    order: tuple[int, ...] = ()
    trigger: str = ""
    baseline: Baseline | None = None
    improve_s: float = 0.0


class PlanRejected(Fact, frozen=True, gc=False):
    """The workflow cannot run."""

    code: str
    message: str
    name: str = ""
    parent: Parent | None = None
    schedule: str = ""
    trigger: str = ""


class PlanHandedOver(Fact, frozen=True, gc=False):
    """The scheduler has recorded the plan."""


class ExtensionJudged(Fact, frozen=True, gc=False):
    """What a task wants to add can be added, with these new dependencies; or it cannot, and why."""

    task_id: str
    attempt: int
    dependencies: tuple[Dependency, ...] = ()
    code: str = ""
    message: str = ""


PlanEvent = PlanAccepted | PlanRejected | PlanHandedOver | ExtensionJudged
