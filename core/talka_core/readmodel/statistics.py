"""What rows say together: of each kind of task, and of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from msgspec import Struct

SUCCEEDED = ("succeeded", "iterated")
UNDECIDED = ("", "cancelled", "withdrawn")
"""Outcomes that say nothing of whether the work can be done."""


class Span(Struct, frozen=True, gc=False):
    """One attempt as figures: of which kind, how it ended, how long it waited and ran; -1 where unknown."""

    agent_type: str
    outcome: str
    wait_ms: int
    run_ms: int


class KindStatistics(Struct, frozen=True):
    """What the attempts of one agent type came to; times are milliseconds, None where nothing was measured.

    ``success_share`` is that of the attempts that were decided: neither
    cancelled nor taken back. ``wait`` is from ready to scheduled, ``run`` from
    started to finished.
    """

    agent_type: str
    attempts: int
    succeeded: int
    failed: int
    retried: int
    lost: int
    success_share: float | None
    run_p50_ms: int | None
    run_p90_ms: int | None
    wait_p50_ms: int | None
    wait_p90_ms: int | None


class Course(Struct, frozen=True, gc=False):
    """One execution as instants: 0 for never."""

    status: str
    started_at: int
    finished_at: int


class Period(Struct, frozen=True):
    """What happened in one bucket of time, which begins at ``at``; the makespan is that of successes."""

    at: int
    started: int
    succeeded: int
    failed: int
    makespan_p50_ms: int | None


def percentile(values: Sequence[int], share: float) -> int | None:
    """Return the nearest-rank percentile: the smallest value that so large a share does not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def statistics(spans: Iterable[Span]) -> list[KindStatistics]:
    """Return what attempts came to by agent type, those with most attempts first."""
    kinds: dict[str, list[Span]] = {}
    for span in spans:
        kinds.setdefault(span.agent_type, []).append(span)
    found = [_kind(agent_type, group) for agent_type, group in kinds.items()]
    return sorted(found, key=lambda kind: (-kind.attempts, kind.agent_type))


def _kind(agent_type: str, spans: Sequence[Span]) -> KindStatistics:
    outcomes = [span.outcome for span in spans]
    succeeded = sum(outcome in SUCCEEDED for outcome in outcomes)
    decided = sum(outcome not in UNDECIDED for outcome in outcomes)
    runs = [span.run_ms for span in spans if span.run_ms >= 0 and span.outcome in SUCCEEDED]
    waits = [span.wait_ms for span in spans if span.wait_ms >= 0]
    return KindStatistics(
        agent_type,
        len(spans),
        succeeded,
        sum(outcome in ("failed", "timed_out", "fell_back", "parked") for outcome in outcomes),
        outcomes.count("retried"),
        outcomes.count("lost"),
        succeeded / decided if decided else None,
        percentile(runs, 0.5),
        percentile(runs, 0.9),
        percentile(waits, 0.5),
        percentile(waits, 0.9),
    )


def trend(courses: Iterable[Course], bucket_ms: int, since: int, until: int) -> list[Period]:
    """Return what happened in each bucket from ``since`` to ``until``, empty ones included, oldest first."""
    first, last = since // bucket_ms, until // bucket_ms
    started: dict[int, int] = {}
    failed: dict[int, int] = {}
    spans: dict[int, list[int]] = {}
    for course in courses:
        began, ended = course.started_at // bucket_ms, course.finished_at // bucket_ms
        started[began] = started.get(began, 0) + 1
        if not course.finished_at:
            continue
        if course.status == "succeeded":
            spans.setdefault(ended, []).append(course.finished_at - course.started_at)
        elif course.status in ("failed", "timed_out", "partial"):
            failed[ended] = failed.get(ended, 0) + 1
    return [
        Period(
            number * bucket_ms,
            started.get(number, 0),
            len(spans.get(number, ())),
            failed.get(number, 0),
            percentile(spans.get(number, ()), 0.5),
        )
        for number in range(first, last + 1)
    ]
