"""``execution.<id>``: what is left of an execution that lies in an archive."""

from __future__ import annotations

from talka_protocols.events.fact import Fact, Parent
from talka_protocols.states import ExecutionState, TaskStatus


class ExecutionArchived(Fact, frozen=True, gc=False):
    """The execution's first ``events`` events lie in an archive, and may leave the log.

    It says all that stays of it: whoever folds a log from here on needs nothing that was before.
    ``place`` is the URL of the file, ``sha256`` the digest of its bytes, and ``root`` the execution
    that was exported to it, whose sub-workflow this one may be. ``counts`` are the tasks by status.
    Instants are milliseconds since the epoch.
    """

    request_id: str
    events: int
    place: str
    sha256: str
    root: str
    status: ExecutionState
    name: str = ""
    accepted_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    counts: dict[TaskStatus, int] = {}
    reason: str = ""
    pool: str = "default"
    schedule: str = ""
    parent: Parent | None = None
