"""How much each caller may ask: so many requests a second, more after a pause, and so many at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager

from msgspec import Struct

BURST_S = 5.0
"""For how many seconds' worth of requests a caller that was quiet may ask at once."""
AT_ONCE_MAX = 100
"""How many requests of one caller are served at a time, streams among them."""
CALLERS_KEPT = 10_000


class _Bucket(Struct):
    left: float
    at_s: float
    open: int = 0


class Rates:
    """A bucket of tokens for each caller; times are of any clock that does not go back, in seconds."""

    def __init__(self, per_s: float, at_once: int = AT_ONCE_MAX) -> None:
        self.per_s = per_s
        self._at_once = at_once
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, now_s: float) -> float:
        """Count a request, and return 0; or return in how many seconds it may be sent again."""
        bucket = self._bucket(name, now_s)
        if not self.per_s:
            return 0.0
        most = max(1.0, self.per_s * BURST_S)
        bucket.left = min(most, bucket.left + (now_s - bucket.at_s) * self.per_s)
        bucket.at_s = now_s
        if bucket.left < 1.0:
            return (1.0 - bucket.left) / self.per_s
        bucket.left -= 1.0
        return 0.0

    @contextmanager
    def serving(self, name: str, now_s: float) -> Generator[bool]:
        """Count a request as served for as long as the context lasts; False says that there are too many."""
        bucket = self._bucket(name, now_s)
        if bucket.open >= self._at_once:
            yield False
            return
        bucket.open += 1
        try:
            yield True
        finally:
            bucket.open -= 1

    def _bucket(self, name: str, now_s: float) -> _Bucket:
        bucket = self._buckets.setdefault(name, _Bucket(max(1.0, self.per_s * BURST_S), now_s))
        self._buckets.move_to_end(name)
        if len(self._buckets) > CALLERS_KEPT:
            self._buckets.popitem(last=False)
        return bucket
