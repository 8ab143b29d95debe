"""Where the time of an execution went, and what would have saved some of it."""

from __future__ import annotations

from collections.abc import Iterable

from talka_core.bottlenecks.alternatives import alternatives
from talka_core.bottlenecks.critical_path import critical_path, worth_ms
from talka_core.bottlenecks.timelines import timelines
from talka_core.scheduler import ExecutionRecord
from talka_core.simulation import Recorded
from talka_protocols.bottlenecks import Alternative, Bottlenecks, Spent
from talka_protocols.errors import CallerError
from talka_protocols.events import ExecutionEvent


def bottlenecks(
    state: ExecutionRecord,
    history: Iterable[tuple[int, ExecutionEvent]],
    now_ms: int,
    found: Recorded | None = None,
) -> Bottlenecks:
    """Return where the time of an execution went.

    Args:
        state: The execution's, now.
        history: All of its events with their instants (milliseconds since the epoch), in order.
        now_ms: The end of what still runs.
        found: What it was, to simulate it with changes; None leaves that out.
    """
    until = state.finished_at or max(now_ms, state.started_at)
    read = timelines(history, until)
    segments = critical_path(state, read, until)
    totals: dict[Spent, int] = {}
    for segment in segments:
        totals[segment.spent_on] = totals.get(segment.spent_on, 0) + segment.took_ms
    simulated_ms: int | None = None
    tried: tuple[Alternative, ...] = ()
    note = ""
    if found is not None:
        try:
            simulated_ms, tried = alternatives(found, worth_ms(read, segments, state.started_at))
        except CallerError as error:
            note = f"Nothing was tried otherwise: {error}"
    return Bottlenecks(
        state.execution_id,
        state.status.value if state.status else "",
        state.version,
        until - state.started_at if state.started_at else 0,
        segments,
        totals,
        simulated_ms,
        tried,
        note,
    )


__all__ = ["bottlenecks"]
