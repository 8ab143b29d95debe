"""Goal: breakers are written in one line, and what makes no sense is refused with what to write instead."""

from __future__ import annotations

import pytest

from talka_protocols.errors import CallerError
from talka_protocols.policies import Breaker
from talka_services.cli.outcome import UsageError
from talka_services.cli.pairs import parse_breakers
from talka_services.service.configuration import PoolConfiguration


def test_durations_are_seconds_and_one_probe_is_usual() -> None:
    """Fractions of seconds are kept to the millisecond."""
    assert parse_breakers(["http=5/60/0.5"]) == {"http": Breaker(5, 60_000, 500, 1)}
    assert parse_breakers(["x=1/2/3/4"]) == {"x": Breaker(1, 2_000, 3_000, 4)}


@pytest.mark.parametrize(
    "pairs",
    [["http"], ["=5/60/30"], ["http=5/60"], ["http=x/60/30"], ["http=5/60/30/1/1"], ["http=5/inf/30"]],
)
def test_malformed_ones_are_refused(pairs: list[str]) -> None:
    """The message shows how it is written."""
    with pytest.raises(UsageError, match="TYPE=FAILURES/WITHIN_S/OPEN_S"):
        parse_breakers(pairs)


def test_a_type_given_twice_is_refused() -> None:
    """Which of the two is meant nobody knows."""
    with pytest.raises(UsageError, match="each type once"):
        parse_breakers(["x=1/2/3", "x=1/2/3"])


@pytest.mark.parametrize(
    "rule", [Breaker(0), Breaker(within_ms=0), Breaker(open_ms=-1), Breaker(probes=0), Breaker(1_000_000)]
)
def test_senseless_rules_are_refused(rule: Breaker) -> None:
    """One that never opens, or never closes, is no breaker."""
    with pytest.raises(CallerError, match="circuit breaker of agent type"):
        PoolConfiguration(breakers={"x": rule})
