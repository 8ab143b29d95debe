"""What deadlines mean to a waiting task: its own that is threatened, and others' that it made way for."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.explanation.picture import Subject, listed, seconds, span
from talka_protocols.explanations import Cause, CauseKind, Holding
from talka_protocols.states import TaskStatus

_WAITING = (TaskStatus.READY, TaskStatus.QUEUED)


def deadlines(subject: Subject) -> Iterator[Cause]:
    """Yield that a waiting task was preempted, and that a deadline needs it to start."""
    record = subject.state.tasks[subject.task_id]
    if record.status not in _WAITING:
        return
    if record.preempted:
        yield subject.cause(
            CauseKind.PREEMPTED,
            f"Attempt {record.attempt - (record.status is TaskStatus.QUEUED)} was preempted. "
            f"{record.preempted}",
            "The end of that task, or free resources elsewhere; the next attempt begins from the checkpoint.",
            since=seconds(record.ready_at),
        )
    yield from _threatened(subject)


def _threatened(subject: Subject) -> Iterator[Cause]:
    record, pool = subject.state.tasks[subject.task_id], subject.pool
    if pool is None or record.allocation_id not in pool.promoted:
        return
    left_ms = record.start_by - subject.picture.now_ms
    when = f"has to start within {span(left_ms)}" if left_ms > 0 else f"had to start {span(-left_ms)} ago"
    victims = [grant for grant in pool.grants.values() if grant.preempted_by == record.allocation_id]
    making = [grant.holder.task_id for grant in victims]
    said = f" It goes before others now, and {listed(making)} must make way." if making else ""
    holders = tuple(
        Holding(1.0, g.holder.execution_id, g.holder.task_id, g.holder.attempt, worker_id=g.worker_id)
        for g in victims
    )
    yield subject.cause(
        CauseKind.DEADLINE,
        f"Its deadline is threatened: it {when}.{said or ' It goes before others now.'}",
        "Preemptible work of a lower rank, which would make way; or another worker.",
        holders=holders,
        until=seconds(record.start_by),
    )
