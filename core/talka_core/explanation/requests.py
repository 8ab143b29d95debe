"""Why the pool has not given a task its resources: which are short, who has them, and who goes first.

Each obstacle is a function of its own, and ``OBSTACLES`` is the order in which they are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from talka_core.explanation import sharing, shortages
from talka_core.explanation.asking import Asking
from talka_core.explanation.picture import Subject, seconds, span
from talka_core.explanation.workers import lost
from talka_core.resource import PoolRecord
from talka_core.resource.placement import need_of, place
from talka_core.resource.state import Request
from talka_protocols.explanations import Cause, CauseKind

OBSTACLES: tuple[Callable[[Asking], Iterator[Cause]], ...] = (
    shortages.beyond_ceiling,
    sharing.open_breaker,
    sharing.bounds,
    sharing.gang,
    shortages.pool_wide,
    shortages.unserved,
    shortages.draining,
    shortages.on_workers,
    sharing.held_worker,
)

_SHARED_TURN = (CauseKind.SLOTS, CauseKind.RESOURCE)
"""Where something else frees these all the time, those that go first are what a request really waits for."""


def queued(subject: Subject) -> Iterator[Cause]:
    """Yield why a queued task has no resources, in the order of what matters most."""
    asking = asking_of(subject)
    if asking is None:
        yield _on_its_way(subject)
        return
    found = list(_obstacles(asking))
    ahead = list(sharing.ahead(asking))
    is_turn = not found or found[0].kind in _SHARED_TURN
    causes = [*ahead, *found] if is_turn else [*found, *ahead]
    yield from causes or [_fits_now(asking)]


def obstacles(subject: Subject) -> Iterator[Cause]:
    """Yield why a queued task has no resources, whoever goes first."""
    asking = asking_of(subject)
    if asking is None:
        yield _on_its_way(subject)
        return
    found = list(_obstacles(asking))
    yield from found or [_fits_now(asking)]


def _obstacles(asking: Asking) -> Iterator[Cause]:
    return (cause for obstacle in OBSTACLES for cause in obstacle(asking))


def _on_its_way(subject: Subject) -> Cause:
    record, pool = subject.state.tasks[subject.task_id], subject.pool
    if pool is None:
        return subject.cause(
            CauseKind.NOT_REQUESTED,
            f"It has asked pool {subject.state.pool!r} for resources, and of that nothing is known here.",
            "Ask where the platform runs.",
            since=seconds(record.queued_at),
        )
    if (gone := lost(subject, record)) is not None:
        return gone
    if (waiting := pool.reserving.get(record.allocation_id)) is not None:
        return _reserved(subject, pool, waiting)
    grant = pool.grants.get(record.allocation_id)
    if grant is not None:
        return subject.cause(
            CauseKind.NOT_DISPATCHED,
            f"The pool has given it resources on worker {grant.worker_id}; "
            "the scheduler has not recorded that yet.",
            "The scheduler's next decision; check that the scheduler service runs.",
            worker_id=grant.worker_id,
            since=seconds(grant.granted_at),
        )
    return subject.cause(
        CauseKind.NOT_REQUESTED,
        f"It has asked pool {subject.state.pool!r} for resources, which has not recorded the request yet.",
        "The pool's next decision; check that the resource service runs.",
        since=seconds(record.queued_at),
    )


def _reserved(subject: Subject, pool: PoolRecord, request: Request) -> Cause:
    """Return that a task waits for the reservation that it names to begin."""
    name = request.terms.reservation
    booking = pool.bookings.get(name)
    now_ms = subject.picture.now_ms
    if booking is None:
        said, until = f"The reservation {name!r} has begun, and worker and slot are not free yet.", 0
    elif booking.starts_at > now_ms:
        said = f"It uses the reservation {name!r}, which begins in {span(booking.starts_at - now_ms)}."
        until = booking.starts_at
    else:
        said = (
            f"The reservation {name!r} is due, and worker {booking.worker_id} has not enough free for it yet."
        )
        until = 0
    return subject.cause(
        CauseKind.RESERVATION,
        said,
        "Its beginning; `talka reserve cancel` gives it up, and the task fails then.",
        until=seconds(until),
        worker_id=booking.worker_id if booking else "",
        since=seconds(subject.state.tasks[subject.task_id].queued_at),
    )


def _fits_now(asking: Asking) -> Cause:
    request = asking.request
    worker_id = place(asking.pool, need_of(asking.pool, request.agent_type, request.amounts))
    return asking.cause(
        CauseKind.NOT_DECIDED,
        f"It fits on worker {worker_id} now; the pool decides about it next.",
        "The pool's next decision.",
        worker_id=worker_id or "",
    )


def asking_of(subject: Subject) -> Asking | None:
    """Return what a queued task asks of the pool for; None if that does not wait there."""
    record, pool = subject.state.tasks[subject.task_id], subject.pool
    request = pool.waiting.get(record.allocation_id) if pool is not None else None
    return None if pool is None or request is None else Asking(subject, pool, request)
