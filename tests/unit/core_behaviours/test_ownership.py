"""What each of several services owns: everything, once, in shares of nearly the same size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talka_core.ownership import Peer, share_of

PEERS = st.sets(st.builds(Peer, st.integers(0, 9), st.text(max_size=3)), min_size=1, max_size=6)


@given(PEERS, st.integers(1, 20))
def test_all_is_owned_once_and_evenly(peers: set[Peer], count: int) -> None:
    """Every address falls to exactly one service, and no two shares differ by more than one."""
    addresses = [str(number) for number in range(count)]
    shares = [share_of(peer, peers, addresses) for peer in peers]
    assert sorted(address for share in shares for address in share) == sorted(addresses)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(PEERS, st.text())
def test_a_newcomer_takes_nothing_that_cannot_be_divided(peers: set[Peer], holder: str) -> None:
    """One pool stays with the service that has been there longest."""
    newcomer = Peer(10, holder)
    assert share_of(newcomer, peers, ["default"]) == frozenset()
    assert share_of(min(peers), {*peers, newcomer}, ["default"]) == {"default"}
