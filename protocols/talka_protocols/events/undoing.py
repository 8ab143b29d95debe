"""``execution.<id>``: going back to an earlier event, and running again what has run."""

from __future__ import annotations

from talka_protocols.events.fact import Fact, Parent
from talka_protocols.events.progress import Progress
from talka_protocols.policies import Then


class RollbackStarted(Fact, frozen=True, gc=False):
    """The execution goes back to event ``to``: ``tasks`` had not ended then, and what they did is undone.

    ``request_id`` is that of the request, so that a repeated one is known.
    ``parent`` is what undoes the task whose sub-workflow the execution is, if that asked.
    ``resumed`` are maps among the tasks that keep those of their items that are not;
    ``paused`` are tasks among them that were paused then and still are, and stay so.
    ``progress`` is what one of the tasks goes on from afterwards, if a checkpoint was chosen.
    """

    to: int
    tasks: tuple[str, ...]
    then: Then = Then.CONTINUE
    request_id: str = ""
    parent: Parent | None = None
    resumed: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    progress: Progress | None = None


class ExecutionRolledBack(Fact, frozen=True, gc=False):
    """Everything after event ``to`` is undone: the tasks of ``RollbackStarted`` stand where they stood."""

    to: int
    then: Then = Then.CONTINUE


class RollbackFailed(Fact, frozen=True, gc=False):
    """Compensations failed for good: the rollback stands still until it is asked for again.

    ``failed`` names the tasks that are not undone.
    """

    to: int
    failed: tuple[str, ...]
    reason: str


class ChildUndone(Fact, frozen=True, gc=False):
    """Nothing is left of what a sub-workflow did that the task's attempt had to undo."""

    task_id: str
    attempt: int
    child_id: str


class ExecutionRestarted(Fact, frozen=True, gc=False):
    """``tasks`` run again, and nothing else does; results of all others are kept.

    ``resumed`` are maps among the tasks that keep those of their items that are not.
    ``progress`` is what one of the tasks goes on from, if a checkpoint was chosen.
    """

    tasks: tuple[str, ...]
    request_id: str = ""
    resumed: tuple[str, ...] = ()
    progress: Progress | None = None
