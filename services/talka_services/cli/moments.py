"""Instants and durations on the command line."""

from __future__ import annotations

import math
import re
from datetime import datetime
from zoneinfo import ZoneInfo

from talka_services.cli.outcome import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_MOST_S = 1e11
"""Some thousand years; what is longer, or no number, could not be counted in milliseconds."""
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def is_duration(text: str) -> bool:
    """Tell whether a text such as ``90s`` or ``1h30m`` says how long; a number alone does not."""
    return _DURATION.fullmatch(text) is not None


def parse_seconds(text: str, option: str) -> float:
    """Return a duration such as ``90``, ``15m`` or ``1h30m`` in seconds.

    Raises:
        UsageError: it is none.
    """
    try:
        if _DURATION.fullmatch(text):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        else:
            seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) <= _MOST_S:
        raise UsageError(
            f"{option} {text!r} is no duration.",
            hint=f"Write seconds, or numbers with s, m, h or d: {option} 15m, {option} 1h30m.",
        )
    return seconds


def parse_instant(text: str, option: str, zone: ZoneInfo) -> float:
    """Return an instant in Unix seconds; a text without an offset means the clock of ``zone``.

    Raises:
        UsageError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no instant.",
            hint=f"Write it as {option} 2030-01-01T09:00:00+01:00; without an offset it is {zone.key} time.",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
