"""Planted bugs of alerts: each breaks a rule, and the tests of the rules find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest
from tests.unit.core_alerting import test_book as books
from tests.unit.core_alerting import test_conditions as rules

from talka_core import alertbook as booking
from talka_core.alerting import AlertBook, Limits, Watch, conditions, watch
from talka_core.alerting.outcomes import Outcomes
from talka_protocols.alerts import Condition
from talka_protocols.events import AlertCleared, AlertEvent, AlertRaised

Planted = Callable[[], AbstractContextManager[Any]]


def _nothing(*_given: object) -> None:
    """Do nothing, whatever is asked."""


def _silent(rule: str) -> Planted:
    """A rule that finds nothing."""
    return lambda: patch.object(watch, rule, _nothing)


def never_over() -> AbstractContextManager[Any]:
    """What an execution does is no progress."""

    def stuck(state: Any, _seen_at: int, granted: Any, now: int, limits: Limits) -> Condition | None:
        return conditions.stuck(state, 0, granted, now, limits)

    return patch.object(watch, "stuck", stuck)


def deaf_to_grants() -> AbstractContextManager[Any]:
    """A pool that grants others leaves a request stuck."""

    def stuck(state: Any, seen_at: int, _granted: Any, now: int, limits: Limits) -> Condition | None:
        return conditions.stuck(state, seen_at, {}, now, limits)

    return patch.object(watch, "stuck", stuck)


def endless_window() -> AbstractContextManager[Any]:
    """Failures are counted for ever."""
    return patch.object(Outcomes, "_forget", _nothing)


def failures_uncounted() -> AbstractContextManager[Any]:
    """Every ending counts as a success."""
    real: Any = vars(Outcomes)["count"]

    def count(self: Outcomes, agent_type: str, at: int, *, is_failure: bool) -> None:
        real(self, agent_type, at, is_failure=False)

    return patch.object(Outcomes, "count", count)


def facts_forgotten() -> AbstractContextManager[Any]:
    """Violations are told once, recorded or not."""
    real: Any = vars(Watch)["conditions"]

    def told(self: Any, now: int, lags: Iterable[Any] = ()) -> list[Condition]:
        found: list[Condition] = real(self, now, lags)
        vars(self)["_facts"] = []
        return found

    return patch.object(Watch, "conditions", told)


def facts_kept() -> AbstractContextManager[Any]:
    """Violations are told even when they are recorded."""
    return patch.object(Watch, "recorded", _nothing)


def _deciding(decide: Callable[..., Iterator[AlertEvent]]) -> AbstractContextManager[Any]:
    return patch.object(books, "decide", decide)


def raised_each_time() -> AbstractContextManager[Any]:
    """What is wrong is raised at every look."""

    def decide(book: AlertBook, wrong: Iterable[Condition], *, is_told: bool) -> Iterator[AlertEvent]:
        yield from (AlertRaised(each, is_told) for each in wrong)
        yield from (e for e in booking.decide(book, wrong, is_told=is_told) if isinstance(e, AlertCleared))

    return _deciding(decide)


def never_cleared() -> AbstractContextManager[Any]:
    """What has passed stays open."""

    def decide(book: AlertBook, wrong: Iterable[Condition], *, is_told: bool) -> Iterator[AlertEvent]:
        yield from (e for e in booking.decide(book, wrong, is_told=is_told) if isinstance(e, AlertRaised))

    return _deciding(decide)


def violations_cleared() -> AbstractContextManager[Any]:
    """What has happened is over as soon as it is not told any more."""
    return patch.object(booking, "LASTING", frozenset[object]())


def webhooks_not_owed() -> AbstractContextManager[Any]:
    """Nobody is told of anything."""

    def decide(book: AlertBook, wrong: Iterable[Condition], *, is_told: bool) -> Iterator[AlertEvent]:
        del is_told
        yield from booking.decide(book, wrong, is_told=False)

    return _deciding(decide)


def webhooks_never_given_up() -> AbstractContextManager[Any]:
    """A receiver that is gone is tried for ever."""
    return patch.object(booking, "GIVEN_UP", 10**9)


MUTANTS: dict[str, Planted] = {
    **{f"{rule}_silent": _silent(rule) for rule in ("stuck", "threatened", "lagging", "failing")},
    **{
        each.__name__: each
        for each in (
            never_over,
            deaf_to_grants,
            endless_window,
            failures_uncounted,
            facts_forgotten,
            facts_kept,
            raised_each_time,
            never_cleared,
            violations_cleared,
            webhooks_not_owed,
            webhooks_never_given_up,
        )
    },
}
CHECKS: tuple[Callable[[], None], ...] = (
    lambda: rules.test_what_makes_no_progress_and_awaits_nothing_is_stuck("queued"),
    rules.test_requests_are_not_stuck_while_their_pool_grants_others,
    rules.test_a_deadline_is_threatened_before_it_is_missed,
    rules.test_failures_are_counted_in_a_window_and_lag_from_its_limit_on,
    rules.test_violations_are_told_until_they_are_recorded,
    books.test_an_alert_is_raised_once_cleared_once_and_raised_anew,
    books.test_a_violation_stays_until_it_is_acknowledged_and_is_never_raised_again,
    books.test_a_webhook_is_owed_until_it_is_delivered_or_given_up,
)


def _is_found() -> bool:
    for check in CHECKS:
        try:
            check()
        except (AssertionError, KeyError):
            return True
    return False


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert not _is_found()


@pytest.mark.parametrize("name", MUTANTS)
def test_every_planted_bug_is_found(name: str) -> None:
    with MUTANTS[name]():
        assert _is_found(), f"{name} goes unnoticed"
