"""How much of a pool's log may go: nothing that concerns an execution which is not archived."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.archiving import Extent, executions_in
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import AllocationGranted, Event, Holder

NAMES = ["a", "b", "c"]


def _of(execution_id: str) -> e.AllocationFreed:
    return e.AllocationFreed(f"{execution_id}/t/1", Holder(execution_id, "t", 1))


def _commits(names: list[str]) -> list[tuple[int, Commit[Event]]]:
    return [
        (10 * place, Commit(place, place, 1, (Decision("", (_of(name),)),)))
        for place, name in enumerate(names, 1)
    ]


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.integers(0, 12))
def test_what_concerns_an_execution_that_is_not_archived_stays(
    names: list[str], archived: set[str], before: int
) -> None:
    """All up to the position may go, and the next commit may not: it is needed, too new, or there is none."""
    found = Extent(archived.__contains__, before)
    for position, commit in _commits(names):
        if not found.takes(position, commit):
            break
    gone = found.position // 10
    assert all(name in archived for name in names[:gone])
    assert gone < before or gone == 0
    following = names[gone : gone + 1]
    assert not following or following[0] not in archived or gone + 1 >= before
    assert found.held_by in ("", *following)


def test_every_way_to_name_an_execution_counts() -> None:
    """Gangs, those who make way for others, and rosters name executions too; clients are none."""
    holder = Holder("a", "t", 1)
    granted = AllocationGranted("a/t/1", holder, "sleep", "w", 1, 1)
    assert set(executions_in(e.GangGranted("g", (granted,)))) == {"a"}
    assert set(executions_in(e.AllocationPreempted("a/t/1", "b/t/1", "w"))) == {"a", "b"}
    assert set(executions_in(e.LogsOpened(("a", "b")))) == {"a", "b"}
    assert set(executions_in(e.AllocationFreed("client-allocation", Holder(client_id="c")))) == set()
    assert set(executions_in(e.WorkerLost("w", 1))) == set()
    assert set(executions_in(e.PoolOwnershipTaken(1, "host:1"))) == set()
    assert set(executions_in(e.OwnershipTaken(1, "host:1"))) == set()
