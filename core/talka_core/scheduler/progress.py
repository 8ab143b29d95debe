"""What an attempt saves while it runs: recorded in order, confirmed when recorded, refused when stale.

The newest checkpoint counts, so one that arrives after a newer one is confirmed
without being recorded. A step's first result counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.behaviour import Effect, Send
from talka_core.scheduler import artifacts
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import (
    ArtifactRead,
    ExecutionEvent,
    TaskCheckpointed,
    TaskStarted,
    TaskStepFinished,
)
from talka_protocols.messages import (
    STALE_CODE,
    AttemptFinished,
    AttemptStarted,
    CancelTask,
    ConfirmProgress,
    Mark,
    Recipient,
    RecordProgress,
    Refusal,
)
from talka_protocols.states import TaskStatus

_LIVE = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)
_STALE = Refusal(
    STALE_CODE, "The attempt is not wanted any more: it was taken for lost, cancelled or replaced by another."
)


def recorded(state: ExecutionRecord, message: RecordProgress) -> Iterator[ExecutionEvent]:
    """Record what the wanted attempt saved, once."""
    record = live(state, message)
    if record is None or _is_known(record, message):
        return
    if message.mark is Mark.READ:
        yield from artifacts.read(state, message)
        return
    if record.status is TaskStatus.SCHEDULED:
        yield TaskStarted(message.task_id, message.attempt, message.started_at)
    about = (message.task_id, message.attempt, message.sequence)
    if message.mark is Mark.STEP:
        yield TaskStepFinished(*about, message.name, message.saved)
    else:
        yield TaskCheckpointed(*about, message.saved)


def confirmed(state: ExecutionRecord, event: TaskCheckpointed | TaskStepFinished | ArtifactRead) -> Effect:
    """Tell the worker that what the attempt saved, or reads, is recorded."""
    about = (state.tasks[event.task_id].worker_id, state.execution_id, event.task_id, event.attempt)
    claim = state.artifacts[event.name].claim if isinstance(event, ArtifactRead) else None
    message = ConfirmProgress(*about, event.sequence, claim=claim)
    return Send(Recipient.WORKER, message, notice=True)


def answered(state: ExecutionRecord, message: RecordProgress) -> Iterator[Effect]:
    """Confirm what is recorded already; refuse what a stale attempt saved, and have it stopped."""
    about = (message.worker_id, message.execution_id, message.task_id, message.attempt)
    is_wanted = live(state, message) is not None
    refusal, claim = None if is_wanted else _STALE, None
    if is_wanted and message.mark is Mark.READ:
        found = state.artifacts.get(message.name)
        claim = found.claim if found and artifacts.is_readable(state, found) else None
        refusal = None if claim else _unknown(message.name)
    confirmation = ConfirmProgress(*about, message.sequence, refusal, claim)
    yield Send(Recipient.WORKER, confirmation, notice=True)
    if not is_wanted:
        yield Send(Recipient.WORKER, CancelTask(*about), notice=True)


def live(
    state: ExecutionRecord, message: AttemptStarted | AttemptFinished | RecordProgress
) -> TaskRecord | None:
    """Return the task if the message is of the attempt that runs, or is about to, and of its own worker."""
    record = state.tasks.get(message.task_id)
    if record is None or record.attempt != message.attempt or record.status not in _LIVE:
        return None
    return record if record.worker_id == message.worker_id else None


def _unknown(name: str) -> Refusal:
    return Refusal("no_artifact", f"No task that has succeeded has written the artifact {name!r}.")


def _is_known(record: TaskRecord, message: RecordProgress) -> bool:
    if message.mark is Mark.READ:
        return False
    if message.mark is Mark.STEP:
        return message.name in record.steps
    newest = record.checkpoint
    known = (newest.attempt, newest.sequence) if newest else (0, 0)
    return known >= (message.attempt, message.sequence)
