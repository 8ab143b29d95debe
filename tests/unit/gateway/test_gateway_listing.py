"""Pages of executions: together they are the whole list, whatever begins meanwhile."""

from __future__ import annotations

from bisect import insort
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talka_protocols.events import Parent
from talka_protocols.results import ExecutionStatus
from talka_protocols.states import ExecutionState
from talka_services.gateway.listing import Filters, page_of
from talka_services.gateway.overview import Standing
from talka_services.gateway.problems import HttpError

Order = list[tuple[float, str]]


def standing(execution_id: str, accepted_at: float, **changes: Any) -> Standing:
    fields: dict[str, Any] = {
        "status": ExecutionState.RUNNING,
        "name": "work",
        "pool": "default",
        "parent": None,
    } | changes
    status = ExecutionStatus(
        execution_id, fields["name"], fields["status"], 1, 1, {}, parent=fields["parent"]
    )
    return Standing(status, accepted_at, fields["pool"], 1)


def taken(order: Order, known: dict[str, Standing], filters: Filters) -> tuple[list[str], str | None]:
    page = page_of(order, known.__getitem__, filters, 7)
    assert page.position == 7
    return [each.execution_id for each in page.executions], page.next


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.integers(1, 4),
    st.lists(st.integers(6, 9), max_size=4),
)
def test_pages_together_are_the_list(instants: list[int], limit: int, later: list[int]) -> None:
    """Every execution that was there at first is on exactly one page, in order."""
    known = {f"e{n}": standing(f"e{n}", at) for n, at in enumerate(instants)}
    order = sorted((-each.accepted_at, name) for name, each in known.items())
    whole, found, cursor = [name for _, name in order], list[str](), ""
    while True:
        names, following = taken(order, known, Filters(limit=limit, cursor=cursor))
        found += names
        if following is None:
            break
        cursor = following
        if later:
            name = f"later{len(later)}"
            known[name] = standing(name, later.pop())
            insort(order, (-known[name].accepted_at, name))
    assert found == whole


def test_filters_choose() -> None:
    """Each by itself, and together."""
    known = {
        "a": standing("a", 1.0, name="tide", status=ExecutionState.SUCCEEDED),
        "b": standing("b", 2.0, pool="gpu"),
        "c": standing("c", 3.0, name="Tide", parent=Parent("a", "t", 1)),
    }
    order = sorted((-each.accepted_at, name) for name, each in known.items())

    def named(**given: Any) -> list[str]:
        return taken(order, known, Filters(**given))[0]

    assert named() == ["c", "b", "a"]
    assert named(status=(ExecutionState.SUCCEEDED, ExecutionState.FAILED)) == ["a"]
    assert named(name="tide") == ["a"]
    assert named(search="TIDE") == ["c", "a"]
    assert named(pool="gpu") == ["b"]
    assert named(parent="a") == ["c"]
    assert named(since=2.0) == ["c", "b"]
    assert named(until=2.0) == ["a"]
    assert named(since=2.0, until=3.0) == ["b"]


@pytest.mark.parametrize("cursor", ["x", "e30", "!!!", "W10"])
def test_a_cursor_of_nobody_is_refused(cursor: str) -> None:
    with pytest.raises(HttpError, match="cursor"):
        taken([], {}, Filters(cursor=cursor))
