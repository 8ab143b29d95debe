"""What an attempt waits for that has its resources: its worker."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.explanation.picture import Subject, seconds, span
from talka_core.resource import PoolRecord
from talka_core.scheduler import TaskRecord
from talka_protocols.explanations import Cause, CauseKind


def scheduled(subject: Subject) -> Iterator[Cause]:
    """Yield why an attempt that was sent to a worker has not begun."""
    record = subject.state.tasks[subject.task_id]
    yield from _stopping(subject, record)
    gone = lost(subject, record)
    if gone is not None:
        yield gone
        return
    entry = subject.pool.workers.get(record.worker_id) if subject.pool else None
    draining = " The worker is draining." if entry and entry.is_draining else ""
    ago = span(subject.picture.now_ms - record.scheduled_at)
    overdue = " It is being withdrawn: its time to start is over." if record.is_overdue else ""
    yield subject.cause(
        CauseKind.NOT_STARTED,
        f"Attempt {record.attempt} was sent to worker {record.worker_id} {ago} ago, "
        f"which has not said that it runs.{overdue}{draining}",
        "The worker's report; if it stays silent, it is declared lost and the attempt goes elsewhere.",
        worker_id=record.worker_id,
        since=seconds(record.scheduled_at),
    )


def running(subject: Subject) -> Iterator[Cause]:
    """Yield what a running attempt does, and what is wrong with its worker."""
    record = subject.state.tasks[subject.task_id]
    yield from _stopping(subject, record)
    if (gone := lost(subject, record)) is not None:
        yield gone
        return
    ago = span(subject.picture.now_ms - record.started_at)
    yield subject.cause(
        CauseKind.RUNNING,
        f"Attempt {record.attempt} runs on worker {record.worker_id} since {ago}.",
        worker_id=record.worker_id,
        since=seconds(record.started_at),
    )


def lost(subject: Subject, record: TaskRecord) -> Cause | None:
    """Return that the attempt's worker is gone, as far as the pool knows; None while it is there."""
    pool = subject.pool
    if pool is None:
        return None
    grant = pool.grants.get(record.allocation_id)
    if grant is not None and grant.is_revoked:
        why = grant.revoked
    elif record.worker_id and not _is_there(pool, record):
        why = f"Worker {record.worker_id} is gone."
    else:
        return None
    return subject.cause(
        CauseKind.WORKER_LOST,
        f"Attempt {record.attempt} was lost with its worker. {why}",
        "The scheduler gives the attempt to another worker as soon as it has heard of it.",
        worker_id=grant.worker_id if grant else record.worker_id,
    )


def _is_there(pool: PoolRecord, record: TaskRecord) -> bool:
    entry = pool.workers.get(record.worker_id)
    return entry is not None and (not record.incarnation or entry.incarnation == record.incarnation)


def _stopping(subject: Subject, record: TaskRecord) -> Iterator[Cause]:
    if record.is_preempted and not record.is_stopping:
        yield subject.cause(
            CauseKind.PREEMPTED,
            f"Worker {record.worker_id} has been asked to stop attempt {record.attempt}: "
            f"it is preempted. {record.preempted}",
            "The worker's report that it has stopped; the task then begins again as soon as it can.",
            worker_id=record.worker_id,
        )
    if not record.is_stopping:
        return
    why = f" because of {record.because!r}" if record.because else ""
    if record.is_unwanted:
        why = f", which alone was cancelled{f': {record.unwanted_reason}' if record.unwanted_reason else ''}"
    yield subject.cause(
        CauseKind.STOPPING,
        f"Worker {record.worker_id} has been asked to stop attempt {record.attempt}{why}.",
        "The worker's report that it has stopped; `talka cancel --force` kills it.",
        worker_id=record.worker_id,
    )
