"""Options of the form KEY=VALUE."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterable

from talka_protocols.policies import Breaker, ScalingPolicy
from talka_services.cli.outcome import UsageError


def parse_amounts(pairs: Iterable[str], option: str = "--capacity") -> dict[str, float]:
    """Return KEY=NUMBER pairs as a dict; ``option`` is empty where they are arguments.

    Raises:
        UsageError: a pair is malformed, negative or given twice.
    """
    said = f"{option} " if option else ""
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
                f"{said}{pair!r} is not of the form NAME=AMOUNT, with an amount from 0.",
                hint=f"For example {said}cpu_cores=16 {said}memory_mb=32768.",
            )
        if name in amounts:
            raise UsageError(f"{said}{name} is given twice.", hint="Give it once.")
        amounts[name] = amount
    return amounts


def parse_breakers(pairs: Iterable[str], option: str = "--breaker") -> dict[str, Breaker]:
    """Return TYPE=FAILURES/WITHIN_S/OPEN_S[/PROBES] pairs as a dict.

    Raises:
        UsageError: a pair is malformed or given twice.
    """
    breakers: dict[str, Breaker] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        parts = text.split("/")
        try:
            failures, probes = int(parts[0]), int(parts[3]) if len(parts) > 3 else 1
            within_s, open_s = float(parts[1]), float(parts[2])
            rule = Breaker(failures, round(1000 * within_s), round(1000 * open_s), probes)
        except (ValueError, IndexError, OverflowError):
            rule = None
        if rule is None or not name or len(parts) > 4 or name in breakers:
            raise UsageError(
                f"{option} {pair!r} is not TYPE=FAILURES/WITHIN_S/OPEN_S[/PROBES], each type once.",
                hint=f"For example {option} http=5/60/30: five failures within 60 s open it for 30 s.",
            )
        breakers[name] = rule
    return breakers


def parse_quotas(pairs: Iterable[str], option: str = "--quota") -> dict[str, dict[str, float]]:
    """Return TENANT:NAME=AMOUNT pairs as the amounts of each tenant.

    Raises:
        UsageError: a pair is malformed, negative or given twice.
    """
    quotas: dict[str, list[str]] = {}
    for pair in pairs:
        tenant, colon, amount = pair.partition(":")
        if not colon or not tenant.strip():
            raise UsageError(
                f"{option} {pair!r} is not of the form TENANT:NAME=AMOUNT.",
                hint=f"For example {option} team-a:cpu_cores=8.",
            )
        quotas.setdefault(tenant.strip(), []).append(amount)
    return {
        tenant: parse_amounts(amounts, f"{option} {tenant}:") for tenant, amounts in sorted(quotas.items())
    }


def parse_weights(pairs: Iterable[str], option: str = "--weight") -> dict[str, float]:
    """Return TENANT=WEIGHT pairs as a dict.

    Raises:
        UsageError: a pair is malformed, not above 0, or given twice.
    """
    weights = parse_amounts(pairs, option)
    if wrong := [tenant for tenant, weight in weights.items() if weight <= 0]:
        raise UsageError(
            f"{option} {wrong[0]} is 0.", hint="Give a number above 0; 2 is due twice as much as 1."
        )
    return weights


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


def parse_scaling(text: str, option: str = "--scale") -> ScalingPolicy:
    """Return MIN:MAX[/TARGET_DELAY_S[/COOL_DOWN_S[/TO_ZERO_AFTER_S]]] as a policy.

    Raises:
        UsageError: it is malformed.
    """
    bounds, *times = text.split("/")
    try:
        least, most = map(int, bounds.split(":"))
        given = [round(1000 * float(time)) for time in times]
        policy = ScalingPolicy(least, most, **dict(zip(_TIMES[: len(given)], given, strict=True)))
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r} is not MIN:MAX[/TARGET_DELAY_S[/COOL_DOWN_S[/TO_ZERO_AFTER_S]]].",
            hint=f"For example {option} 0:8/10/60/300: at most eight workers, and none after 5 idle minutes.",
        ) from None
    return policy


_TIMES = ("target_delay_ms", "cool_down_ms", "scale_to_zero_after_ms")


def imported(place: str) -> object:
    """Return the object at ``module:object``; the current directory is searched too.

    Raises:
        UsageError: there is none, or its module cannot be imported.
    """
    module, _, attribute = place.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"The agent {place!r} cannot be loaded: {error}.", hint="Check --agent.") from error
