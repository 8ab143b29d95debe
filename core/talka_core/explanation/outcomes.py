"""What has become of a task that has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from talka_core.explanation.picture import Subject, seconds, span
from talka_core.scheduler import TaskRecord
from talka_core.scheduler.names import undo_id
from talka_protocols.explanations import Cause, CauseKind
from talka_protocols.states import TaskStatus


def outcome(subject: Subject) -> Iterator[Cause]:
    """Yield how a task ended, and why."""
    record = subject.state.tasks[subject.task_id]
    yield _OUTCOMES[record.status](subject, record)


def compensating(subject: Subject) -> Iterator[Cause]:
    """Yield what undoes a task; the last of the cause's ``chain`` is the task that does."""
    undo = undo_id(subject.task_id, subject.state.tasks[subject.task_id].round)
    status = subject.state.tasks[undo].status.value
    yield subject.cause(
        CauseKind.COMPENSATION,
        f"Its effect is being undone by {undo!r}, which is {status}.",
        f"The end of {undo!r}.",
        chain=(subject.task_id, undo),
    )


def _again(subject: Subject) -> str:
    return f"`talka restart {subject.state.execution_id} --from {subject.task_id}` runs it again."


def _succeeded(subject: Subject, record: TaskRecord) -> Cause:
    if record.started_at:
        took = span(record.finished_at - record.started_at)
        waited = span(record.started_at - record.ready_at) if record.ready_at else "0 s"
        on = f" on worker {record.worker_id}" if record.worker_id else ""
        sentence = f"It succeeded in attempt {record.attempt}{on}: it waited for {waited} and took {took}."
    else:
        sentence = "It succeeded."
    return subject.cause(
        CauseKind.SUCCEEDED, sentence, worker_id=record.worker_id, since=seconds(record.finished_at)
    )


def _failed(subject: Subject, record: TaskRecord) -> Cause:
    error = record.error
    is_late = record.status is TaskStatus.TIMED_OUT
    said = f": {error.code}: {error.message}" if error else "."
    how = "ran out of time" if is_late else "failed"
    return subject.cause(
        CauseKind.TIMED_OUT if is_late else CauseKind.FAILED,
        f"It {how} for good in attempt {record.attempt}{said}",
        f"Remove the cause, then {_again(subject)}",
        worker_id=record.worker_id,
        since=seconds(record.finished_at),
    )


def _cancelled(subject: Subject, record: TaskRecord) -> Cause:
    state = subject.state
    if record.because:
        why = f"because {record.because!r} does not need it any more"
    elif record.is_unwanted:
        why = f"alone, on request{f': {record.unwanted_reason}' if record.unwanted_reason else ''}"
    elif record.is_expired:
        why = "because the execution reached its time limit"
    elif state.is_failing and state.failed:
        why = f"because task {state.failed[0]!r} failed and that ends everything"
    else:
        why = f"on request{f': {state.reason}' if state.reason else ''}"
    return subject.cause(
        CauseKind.CANCELLED, f"It was cancelled {why}.", _again(subject), since=seconds(record.finished_at)
    )


def _skipped(subject: Subject, record: TaskRecord) -> Cause:
    because = record.because
    is_own = because == subject.task_id
    chain = () if is_own or because not in subject.state.tasks else (subject.task_id, because)
    if record.condition:
        whose = "its condition" if is_own else f"the condition of {because!r}"
        sentence = f"It will not run: {whose}, {record.condition!r}, was false."
        kind = CauseKind.CONDITION_FALSE
    else:
        culprit = subject.state.tasks.get(because)
        status = culprit.status.value if culprit else "gone"
        sentence = f"It will not run: {because!r}, which it needs, is {status}."
        kind = CauseKind.DEPENDENCY_FAILED
    return subject.cause(kind, sentence, _again(subject), chain=chain, since=seconds(record.finished_at))


def _compensated(subject: Subject, record: TaskRecord) -> Cause:
    return subject.cause(
        CauseKind.COMPENSATED,
        "It ran, and its effect was undone.",
        _again(subject),
        since=seconds(record.finished_at),
    )


_OUTCOMES: dict[TaskStatus, Callable[[Subject, TaskRecord], Cause]] = {
    TaskStatus.SUCCEEDED: _succeeded,
    TaskStatus.FAILED: _failed,
    TaskStatus.TIMED_OUT: _failed,
    TaskStatus.CANCELLED: _cancelled,
    TaskStatus.SKIPPED: _skipped,
    TaskStatus.COMPENSATED: _compensated,
}
