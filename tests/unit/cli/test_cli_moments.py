"""Durations on the command line: what is none is refused before anybody counts with it."""

from __future__ import annotations

import pytest

from talka_services.cli.moments import parse_seconds
from talka_services.cli.outcome import UsageError


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("1h30m", 5_400.0), ("1.5s", 1.5), ("-3", -3.0)])
def test_a_duration_is_in_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--every") == seconds


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e400", "9" * 400 + "d", "1e12", "", "1x", "h"], ids=lambda text: text[:9]
)
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    """No number, infinitely many, and more than could be counted in milliseconds."""
    with pytest.raises(UsageError, match=r"--every .* is no duration"):
        parse_seconds(text, "--every")
