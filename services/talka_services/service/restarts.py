"""When a process that ended by itself is started again: at once at first, then ever later."""

from __future__ import annotations

AGAIN_S = 1.0
"""How long after it ended by itself a process is started again; it doubles up to ``AGAIN_MOST_S``."""
AGAIN_MOST_S = 30.0
STEADY_S = 30.0
"""A process that lived so long was no failed start."""


class Restarts:
    """Counts the failed starts of one process, or of several alike."""

    def __init__(self) -> None:
        self._pause_s = 0.0

    def pause_s(self, lived_s: float) -> float:
        """Return how long to wait (seconds) after one has ended that lived so long (seconds)."""
        is_steady = lived_s > STEADY_S
        self._pause_s = AGAIN_S if is_steady else min(AGAIN_MOST_S, max(AGAIN_S, 2 * self._pause_s))
        return self._pause_s
