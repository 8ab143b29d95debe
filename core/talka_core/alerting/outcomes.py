"""How many tasks of each agent type ended lately, and how many of them failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

BUCKET_MS = 10_000
"""Endings are counted in spans of ten seconds, so that a busy window takes no memory."""


class _Bucket(Struct):
    began_at: int
    ended: int = 0
    failed: int = 0


class Outcomes:
    """The endings of the last ``window_ms``."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._buckets: dict[str, deque[_Bucket]] = {}

    def count(self, agent_type: str, at: int, *, is_failure: bool) -> None:
        """Count one ending."""
        buckets = self._buckets.setdefault(agent_type, deque())
        began_at = at - at % BUCKET_MS
        if not buckets or buckets[-1].began_at < began_at:
            buckets.append(_Bucket(began_at))
            self._forget(buckets, at)
        buckets[-1].ended += 1
        buckets[-1].failed += is_failure

    def lately(self, now: int) -> Iterator[tuple[str, int, int]]:
        """Yield (agent type, ended, failed) of the window that ends now."""
        for agent_type, buckets in self._buckets.items():
            self._forget(buckets, now)
            yield agent_type, sum(each.ended for each in buckets), sum(each.failed for each in buckets)

    def _forget(self, buckets: deque[_Bucket], now: int) -> None:
        while buckets and buckets[0].began_at <= now - self._window_ms:
            buckets.popleft()
