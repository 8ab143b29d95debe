"""Goal: of all the faults of a failing run those are left that it takes, within so many tries."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_chaos.trials.shrinking import fewest

KINDS = ("crash", "duplicate", "tail")

FAULTS = st.dictionaries(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 12)), st.floats(0.0, 40.0), min_size=1, max_size=36
)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(FAULTS, st.data())
def test_exactly_what_is_needed_is_left(suffered: dict[tuple[str, int], float], data: st.DataObject) -> None:
    """Where it fails whenever some faults are among those that happen, these are what is left."""
    needed = data.draw(st.frozensets(st.sampled_from(sorted(suffered)), max_size=4))
    assert fewest(suffered, lambda chosen: needed <= chosen, 10_000) == needed


@settings(deadline=None, max_examples=40, derandomize=True)
@given(FAULTS, st.integers(0, 20), st.data())
def test_what_is_left_fails_and_tries_are_bounded(
    suffered: dict[tuple[str, int], float], most: int, data: st.DataObject
) -> None:
    """However few tries there are, what is left does fail, and it was tried no more often than that."""
    either = data.draw(st.lists(st.frozensets(st.sampled_from(sorted(suffered))), min_size=1, max_size=3))
    asked: list[frozenset[tuple[str, int]]] = []

    def fails(chosen: frozenset[tuple[str, int]]) -> bool:
        asked.append(chosen)
        return any(needed <= chosen for needed in either)

    left = fewest(suffered, fails, most)
    assert left <= frozenset(suffered)
    assert any(needed <= left for needed in either)
    assert len(asked) <= most
