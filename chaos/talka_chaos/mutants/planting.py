"""How a planted bug gets into a world: by patching, for as long as its context lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from talka_chaos.hosts import BEHAVIOURS
from talka_chaos.sim import run
from talka_protocols.messages import Recipient

Mutant = Callable[[], AbstractContextManager[Any]]


def behaving(kind: Recipient, **parts: Any) -> AbstractContextManager[Any]:
    """Let every actor of a kind behave with these parts in place of its own."""
    return patch.dict(BEHAVIOURS, {kind: replace(BEHAVIOURS[kind], **parts)})


def seeds_needed(mutant: Mutant, at_most: int, first: int = 0) -> int | None:
    """Return how many seeds it took to notice the mutant, or None."""
    with mutant():
        for count in range(1, at_most + 1):
            if not run(first + count - 1).is_healthy:
                return count
    return None
