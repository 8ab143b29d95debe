"""Why a task does not run: its own causes first, then those of what it really waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from talka_core.explanation import beginnings
from talka_core.explanation.deadlines import deadlines
from talka_core.explanation.dependencies import most_stuck, pending
from talka_core.explanation.holds import holds
from talka_core.explanation.outcomes import compensating, outcome
from talka_core.explanation.picture import Picture, Subject
from talka_core.explanation.predictions import expected_start
from talka_core.explanation.requests import queued
from talka_core.explanation.turns import item_to_come, ready
from talka_core.explanation.waits import retrying, waiting
from talka_core.explanation.workers import running, scheduled
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.explanations import Cause, CauseKind, Explanation
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus

DEPTH_MAX = 8
"""How many sub-workflows and maps are followed into each other."""

_BY_STATUS: dict[TaskStatus, Callable[[Subject], Iterator[Cause]]] = {
    TaskStatus.PENDING: pending,
    TaskStatus.READY: ready,
    TaskStatus.QUEUED: queued,
    TaskStatus.SCHEDULED: scheduled,
    TaskStatus.RUNNING: running,
    TaskStatus.WAITING: waiting,
    TaskStatus.RETRYING: retrying,
    TaskStatus.COMPENSATING: compensating,
    **dict.fromkeys(FINAL_TASK_STATUSES, outcome),
}

_UNAFFECTED = frozenset(
    {TaskStatus.SCHEDULED, TaskStatus.RUNNING, TaskStatus.WAITING, TaskStatus.COMPENSATING}
)
"""What goes on, or may still end, although nothing new may start: that comes first."""


def explain(picture: Picture, execution_id: str, task_id: str) -> Explanation:
    """Say why a task does not run, or what it did.

    Raises:
        UnknownExecutionError: nothing in the picture says anything about the execution.
        RequestRefusedError: it has no such task; code ``unknown_task``.
    """
    state = picture.executions.get(execution_id)
    if state is None or state.status is None or not state.tasks:
        causes = beginnings.not_begun(picture, execution_id, task_id)
        if not causes:
            raise UnknownExecutionError(execution_id)
        return Explanation(execution_id, task_id, "", state.version if state else 0, tuple(causes))
    subject = Subject(picture, state, task_id)
    if task_id not in state.tasks:
        cause = item_to_come(subject)
        if cause is None:
            raise beginnings.unknown_task(execution_id, task_id, state.tasks)
        causes = [cause, *_behind(cause, subject, 0)]
        return Explanation(execution_id, task_id, "", state.version, tuple(causes))
    status = state.tasks[task_id].status.value
    starts_at, expectation = expected_start(subject)
    causes = list(_causes(subject, 0))
    return Explanation(execution_id, task_id, status, state.version, tuple(causes), starts_at, expectation)


def _causes(subject: Subject, depth: int) -> Iterator[Cause]:
    record = subject.state.tasks[subject.task_id]
    own = [*deadlines(subject), *_BY_STATUS[record.status](subject)]
    held = [] if record.status in FINAL_TASK_STATUSES else list(holds(subject))
    yield from (*own, *held) if record.status in _UNAFFECTED else (*held, *own)
    for cause in own:
        yield from _behind(cause, subject, depth)


def _behind(cause: Cause, subject: Subject, depth: int) -> Iterator[Cause]:
    """Yield the causes of what a cause is really about, another task or a sub-workflow's."""
    if depth == DEPTH_MAX:
        return
    if cause.chain:
        yield from _causes(subject.about(cause.chain[-1]), depth + 1)
    elif cause.kind is CauseKind.SUB_WORKFLOW:
        child_id = subject.state.tasks[subject.task_id].awaited
        child = subject.picture.executions.get(child_id)
        if child is None or child.status is None:
            yield from beginnings.not_begun(subject.picture, child_id, "")
        else:
            yield from _of_child(Subject(subject.picture, child, ""), depth)


def _of_child(whole: Subject, depth: int) -> Iterator[Cause]:
    """Yield the causes of the task that a sub-workflow waits for."""
    task_id = most_stuck(whole.state)
    if task_id:
        yield from _causes(whole.about(task_id), depth + 1)
