"""``execution.<id>``: what a fork takes over from the execution that it was forked from."""

from __future__ import annotations

from msgspec import Raw, Struct

from talka_protocols.events.fact import Fact, TaskFailure
from talka_protocols.events.growth import TasksAdded
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import ClaimCheck


class TaskAdopted(Fact, frozen=True, gc=False):
    """The task had ended like this in the origin; it keeps that, and is not run here.

    ``artifacts`` are those that it was the last to write; everything else is as
    in the facts that ended it there.
    """

    task_id: str
    status: TaskStatus
    attempt: int = 0
    started_at: int = 0
    finished_at: int = 0
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}
    error: TaskFailure | None = None
    because: str = ""
    condition: str = ""
    is_tolerated: bool = False
    is_fallback: bool = False
    artifacts: dict[str, ClaimCheck | None] = {}
    worker_id: str = ""


class Origin(Struct, frozen=True, gc=False, omit_defaults=True):
    """The execution and the event that a fork begins at; many ``tasks`` are named by a claim check.

    ``added`` are the additions to the graph that a fork has from its beginning,
    in the order in which they were made; many of them are named by
    ``added_claim``.
    """

    execution_id: str
    version: int
    tasks: tuple[TaskAdopted, ...] = ()
    claim: ClaimCheck | None = None
    added: tuple[TasksAdded, ...] = ()
    added_claim: ClaimCheck | None = None
