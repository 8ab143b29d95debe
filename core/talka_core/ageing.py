"""Ageing: who has waited long goes before who has just come, so that nothing waits for ever.

For every ``POINT_S`` that one execution began before another its tasks count
one point of priority more. Ranks are fixed when a task gets ready, and need no
renewal: that one began so much earlier stays true.
"""

from __future__ import annotations

POINT_S = 30
"""Seconds that are worth one point of priority: after 50 minutes the lowest goes before the highest."""

Rank = tuple[float, ...]


def aged(rank: Rank, since_ms: int) -> Rank:
    """Return a rank that counts from an instant (milliseconds since the epoch).

    The age is that of the execution, in whole points, so that within it, and
    among those that began together, the order is the strategy's alone.
    """
    return (rank[0] + since_ms // (1000 * POINT_S), *rank[1:]) if rank else rank
