"""Options of the form KEY=VALUE."""

from __future__ import annotations

import math
from collections.abc import Iterable

from talka_services.cli.outcome import UsageError


def parse_amounts(pairs: Iterable[str], option: str = "--capacity") -> dict[str, float]:
    """Return KEY=NUMBER pairs as a dict.

    Raises:
        UsageError: a pair is malformed, negative or given twice.
    """
    amounts: dict[str, float] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        try:
            amount = float(text)
        except ValueError:
            amount = math.nan
        if not equals or not name or not math.isfinite(amount) or amount < 0:
            raise UsageError(
                f"{option} {pair!r} is not of the form NAME=AMOUNT.",
                hint=f"For example {option} cpu_cores=16 {option} memory_mb=32768.",
            )
        if name in amounts:
            raise UsageError(f"{option} {name} is given twice.", hint="Give it once.")
        amounts[name] = amount
    return amounts


def parse_labels(pairs: Iterable[str], option: str = "--label") -> dict[str, str]:
    """Return NAME=VALUE pairs as a dict.

    Raises:
        UsageError: a pair is malformed or given twice.
    """
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value) or name in labels:
            raise UsageError(
                f"{option} {pair!r} is not of the form NAME=VALUE, each name once.",
                hint=f"For example {option} zone=a {option} disk=fast.",
            )
        labels[name] = value
    return labels


def parse_objects(pairs: Iterable[str], option: str = "--agent") -> dict[str, str]:
    """Return TYPE=module:object pairs as a dict.

    Raises:
        UsageError: a pair is malformed or given twice.
    """
    objects: dict[str, str] = {}
    for pair in pairs:
        name, _, place = pair.partition("=")
        module, _, attribute = place.partition(":")
        if not name or not module or not attribute or name in objects:
            raise UsageError(
                f"{option} {pair!r} is not of the form TYPE=module:object, each type once.",
                hint=f"For example {option} reviewer=my_agents:reviewer.",
            )
        objects[name] = place
    return objects
