"""What holds a task back although it could run: pauses, stops and rollbacks, of all or of it alone."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.explanation.picture import Subject, seconds
from talka_protocols.explanations import Cause, CauseKind
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState


def holds(subject: Subject) -> Iterator[Cause]:
    """Yield why nothing of the execution may start, or not this task."""
    yield from _of_execution(subject)
    state, record = subject.state, subject.state.tasks[subject.task_id]
    if record.is_paused:
        yield subject.cause(
            CauseKind.TASK_PAUSED,
            f"Task {subject.task_id!r} is paused.",
            f"`talka resume {state.execution_id} {subject.task_id}` lets it go on.",
        )


def _of_execution(subject: Subject) -> Iterator[Cause]:
    state = subject.state
    undoes = state.tasks[subject.task_id].undoes
    if state.status in FINAL_EXECUTION_STATES:
        yield _over(subject)
    elif state.is_stopping:
        yield _stopping(subject)
    elif state.is_rolling_back and not undoes:
        yield _rolling_back(subject)
    elif state.status is ExecutionState.PAUSED:
        why = f": {state.reason}" if state.reason else ""
        yield subject.cause(
            CauseKind.EXECUTION_PAUSED,
            f"The execution is paused{why}.",
            f"`talka resume {state.execution_id}` lets it go on.",
        )


def _over(subject: Subject) -> Cause:
    state = subject.state
    assert state.status is not None, "what is over has a status"
    if state.rollback is not None and state.rollback.has_failed:
        return subject.cause(
            CauseKind.ROLLBACK_FAILED,
            state.reason or f"The rollback to event {state.rollback.to} stands still.",
            f"Remove its cause, then `talka rollback {state.execution_id} --to {state.rollback.to}`.",
            since=seconds(state.finished_at),
        )
    return subject.cause(
        CauseKind.EXECUTION_OVER,
        f"The execution is over: {state.status.value}.",
        f"`talka restart {state.execution_id}` runs what did not succeed.",
        since=seconds(state.finished_at),
    )


def _stopping(subject: Subject) -> Cause:
    state = subject.state
    if state.is_cancelling:
        why = f"is being cancelled{f': {state.reason}' if state.reason else ''}"
    elif state.is_timing_out:
        why = "reached its time limit and is being stopped"
    else:
        failed = f"task {state.failed[0]!r}" if state.failed else "a task"
        why = f"is being stopped, because {failed} failed and that ends everything"
    return subject.cause(
        CauseKind.EXECUTION_STOPPING,
        f"The execution {why}.",
        "Nothing new starts; when what runs has ended, it is over.",
    )


def _rolling_back(subject: Subject) -> Cause:
    going = subject.state.rollback
    assert going is not None, "only what is on its way back is rolling back"
    return subject.cause(
        CauseKind.ROLLING_BACK,
        f"The execution is being rolled back to event {going.to}: only what undoes tasks may run.",
        "It goes on, or ends, when everything is undone.",
    )
