"""Archived executions: when one may go, what stays of it, and what is refused from then on.

The fact that ends an execution's log says all that stays of it, so that the log
can be folded from there: what was before may leave it at any moment. Whoever
folds the whole of it comes to the same state.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import children
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import ExecutionArchived, ExecutionEvent, RequestRefused
from talka_protocols.messages import (
    AnswerApproval,
    ArchiveExecution,
    CancelSingleTask,
    PauseExecution,
    ReleaseTask,
    ReprioritizeExecution,
    RestartExecution,
    ResumeExecution,
    RollBackExecution,
    SchedulerMessage,
    SignalExecution,
)
from talka_protocols.states import FINAL_EXECUTION_STATES, TaskStatus

ARCHIVE = "archive"
"""How the request is called in refusals."""
ARCHIVED = "archived"
"""The code of what is refused because the execution is archived."""

_REQUESTS: dict[type, str] = {
    PauseExecution: "pause",
    ResumeExecution: "resume",
    ReleaseTask: "release",
    ReprioritizeExecution: "reprioritize",
    RollBackExecution: "rollback",
    RestartExecution: "restart",
    CancelSingleTask: "cancel",
    SignalExecution: "signal",
    AnswerApproval: "approval",
    ArchiveExecution: ARCHIVE,
}


def is_over(state: ExecutionRecord) -> bool:
    """Tell whether the execution has ended and whoever needs to know that has recorded it."""
    is_ended = state.status in FINAL_EXECUTION_STATES and not children.owes_report(state)
    return is_ended and not state.returning and not state.handing


def requested(state: ExecutionRecord, message: ArchiveExecution) -> Iterator[ExecutionEvent]:
    """Record where the execution lies, or why it may not go."""
    if not is_over(state):
        yield _refused(message, "not_over", "The execution is not over, or something of it is still owed.")
    elif state.version != message.events:
        said = f"The archive holds {message.events} events, and there are {state.version}."
        yield _refused(message, "changed", said)
    else:
        yield summary(state, message)


def summary(state: ExecutionRecord, message: ArchiveExecution) -> ExecutionArchived:
    """Return what stays of an execution that is over."""
    assert state.status is not None, "what is over has ended somehow"
    counts: dict[TaskStatus, int] = {}
    for record in state.tasks.values():
        counts[record.status] = counts.get(record.status, 0) + 1
    return ExecutionArchived(
        message.request_id,
        message.events,
        message.place,
        message.sha256,
        message.root,
        state.status,
        state.name,
        state.accepted_at,
        state.started_at,
        state.finished_at,
        counts,
        state.reason,
        state.pool,
        state.schedule,
        state.parent,
    )


def refused(state: ExecutionRecord, message: SchedulerMessage) -> Iterator[ExecutionEvent]:
    """Refuse what somebody asks of an archived execution; what is heard again makes nothing happen."""
    archived = state.archived
    assert archived is not None, "only asked about what is archived"
    request_id = getattr(message, "request_id", "")
    is_heard = bool(request_id) and request_id in (archived.request_id, *state.requests)
    if is_heard or type(message) not in _REQUESTS:
        return
    yield _refused(message, ARCHIVED, f"The execution is archived: it lies at {archived.place}.")


def begins_anew(state: ExecutionRecord, version: int, event: object) -> bool:
    """Tell whether a log can be folded from an event on, whatever was before.

    So it can from an archive's fact on, and from the first event of what was brought back from there.
    """
    return isinstance(event, ExecutionArchived) or (version == 1 and state.archived is not None)


def begin_anew(state: ExecutionRecord, before: int) -> None:
    """Forget everything (in place); ``before`` is the version of the event before the next one."""
    fresh = ExecutionRecord(state.execution_id, before)
    for name in state.__struct_fields__:
        setattr(state, name, getattr(fresh, name))


def _refused(message: SchedulerMessage, code: str, sentence: str) -> RequestRefused:
    request_id: str = getattr(message, "request_id", "")
    return RequestRefused(_REQUESTS[type(message)], code, sentence, request_id=request_id)
