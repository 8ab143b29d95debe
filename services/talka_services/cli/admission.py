"""Deadlines from the command line: when all should be over, and what is said if that cannot be."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Workflow
from talka_services.cli.moments import parse_instant, parse_seconds
from talka_services.cli.outcome import UsageError

if TYPE_CHECKING:
    from talka_core.simulation import Feasibility, Offer
    from talka_services.cli.loading import Loaded

WARN, REQUIRE, IGNORE = "warn", "require", "ignore"
MODES = (WARN, REQUIRE, IGNORE)
_INSTANT_BEGINS = 8
"""How many characters an instant has at least: a date without hyphens."""


def seconds_until(text: str, option: str = "--deadline") -> float:
    """Return how long it is until a deadline: a duration, or an instant (UTC unless it has an offset).

    Raises:
        UsageError: it is neither, or it has passed.
    """
    if "-" not in text[1:] and len(text) < _INSTANT_BEGINS:
        seconds = parse_seconds(text, option)
        passed = f"{option} {text} lies in the past."
    else:
        instant = parse_instant(text, option, ZoneInfo("UTC"))
        seconds = instant - time.time()
        passed = f"{option} {text} passed {-seconds:,.0f} s ago."
    if not seconds > 0:
        raise UsageError(passed, hint=f"Give an instant to come, or the time that is left: {option} 15m.")
    return seconds


def with_deadline(workflow: Workflow, text: str | None) -> Workflow:
    """Return the workflow with a deadline for all of it in place of its own."""
    if text is None:
        return workflow
    config = replace(workflow.config, deadline=seconds_until(text))
    return replace(workflow, config=config)


def check_mode(mode: str) -> str:
    """Return what is to become of deadlines that cannot be met.

    Raises:
        UsageError: there is no such choice.
    """
    if mode not in MODES:
        hint = did_you_mean(mode, MODES, label="Choices")
        raise UsageError(f"--deadlines is {mode!r}, but must be warn, require or ignore.", hint=hint)
    return mode


def admit(
    loaded: Loaded, offers: Sequence[Offer], shared: Mapping[str, float], mode: str
) -> Feasibility | None:
    """Say, or refuse, what cannot be done in time on these workers; nothing is said where nothing is due.

    Raises:
        WorkflowInvalidError: it cannot, and the deadlines are required.
    """
    from talka_core.simulation import feasibility

    if mode == IGNORE or not offers:
        return None
    found = feasibility(loaded.workflow, offers, shared)
    if found is None or found.is_feasible:
        return found
    if mode == REQUIRE:
        raise WorkflowInvalidError(
            found.sentence(),
            hint="Offer more, allow more time, or run it all the same with --deadlines warn.",
            code="deadline_infeasible",
        )
    sys.stderr.write(f"talka: {found.sentence()}\n")
    return found
