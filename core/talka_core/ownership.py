"""Which of the services of one kind owns which shards or pools, when all of them divide these evenly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct


class Peer(Struct, frozen=True, order=True):
    """A service that is there; ``since`` is when it began, in milliseconds since the epoch."""

    since: int
    holder: str


def share_of(me: Peer, others: Iterable[Peer], addresses: Sequence[str]) -> frozenset[str]:
    """Return what falls to ``me``: all shares together are all addresses, and differ by one at most.

    Whoever has been there longest comes first, so that a newcomer takes nothing over where there is
    nothing to divide. All services must name the addresses in the same order.
    """
    ranked = sorted({me, *others})
    return frozenset(addresses[ranked.index(me) :: len(ranked)])
