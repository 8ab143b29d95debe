"""What rows say together: shares, percentiles and buckets of time."""

from __future__ import annotations

from talka_core.readmodel import Period, statistics, trend
from talka_core.readmodel.statistics import Course, Span, percentile


def test_percentiles_are_values_that_were_measured() -> None:
    """The nearest rank: half of the values are not above p50, and nothing lies between two values."""
    assert percentile([], 0.5) is None
    assert percentile([7], 0.9) == 7
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile(list(range(1, 11)), 0.9) == 9
    assert percentile([1, 2], 0.0) == 1


def test_kinds_are_counted_by_how_attempts_ended() -> None:
    """What was cancelled or taken back says nothing of success, and only successes have a run time."""
    spans = [
        Span("sleep", "succeeded", 10, 100),
        Span("sleep", "iterated", 30, 300),
        Span("sleep", "retried", 20, 9_000),
        Span("sleep", "timed_out", -1, 9_000),
        Span("sleep", "lost", -1, -1),
        Span("sleep", "cancelled", -1, -1),
        Span("sleep", "withdrawn", -1, -1),
        Span("sleep", "", 5, -1),
        Span("http", "", -1, -1),
    ]
    sleep, http = statistics(spans)
    assert (sleep.attempts, sleep.succeeded, sleep.failed, sleep.retried, sleep.lost) == (8, 2, 1, 1, 1)
    assert sleep.success_share == 2 / 5
    assert (sleep.run_p50_ms, sleep.run_p90_ms, sleep.wait_p50_ms, sleep.wait_p90_ms) == (100, 300, 10, 30)
    assert (http.attempts, http.success_share, http.run_p50_ms, http.wait_p50_ms) == (1, None, None, None)


def test_a_trend_has_a_line_for_every_bucket() -> None:
    """An execution counts where it started and where it ended; empty buckets are there too."""
    courses = [
        Course("succeeded", 1_000, 2_500),
        Course("succeeded", 1_500, 2_900),
        Course("failed", 1_900, 4_000),
        Course("running", 4_100, 0),
        Course("cancelled", 4_200, 4_300),
        Course("succeeded", 100, 1_200),
    ]
    assert trend(courses, 1_000, 1_000, 4_999) == [
        Period(1_000, 3, 1, 0, 1_100),
        Period(2_000, 0, 2, 0, 1_400),
        Period(3_000, 0, 0, 0, None),
        Period(4_000, 2, 0, 1, None),
    ]
