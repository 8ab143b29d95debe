"""Messages that reach a pool together are decided together, the best rank first."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from talka_core.behaviour import step, step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder


def asked(
    name: str, rank: float, cores: float = 1.0, *, of: str = "e", client: str = "", reservation: str = ""
) -> m.RequestAllocation:
    """Return a request of an execution's task, or of a client."""
    holder = Holder(client_id=client) if client else Holder(of, name, 1)
    return m.RequestAllocation("p", name, holder, "work", {"cpu_cores": cores}, (rank,), reservation)


def released(name: str) -> m.ReleaseAllocation:
    return m.ReleaseAllocation("p", name, Holder("e", name, 1))


def pool(cores: float = 2.0) -> PoolRecord:
    state = RESOURCE.initial("p")
    step(RESOURCE, state, m.RegisterWorker("p", "w", 1, ("work",), 99, {"cpu_cores": cores}), 1)
    return state


def together(state: PoolRecord, messages: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return the events with the place of the message that led to each."""
    steps = step_batch(RESOURCE, state, messages, 2)
    return [(place, event) for place, events, _ in steps for event in events]


def granted(steps: Sequence[tuple[int, Any]]) -> list[str]:
    return [event.allocation_id for _, event in steps if isinstance(event, e.AllocationGranted)]


def test_of_those_that_ask_together_the_best_rank_goes_first() -> None:
    state = pool(2.0)
    steps = together(state, [asked("c", 3.0), asked("a", 1.0), asked("b", 2.0)])
    assert granted(steps) == ["a", "b"]
    assert [place for place, _ in steps] == [1, 2, 0]
    assert list(state.waiting) == ["c"]


def test_a_better_rank_that_asks_gets_what_the_same_batch_frees() -> None:
    state = pool(1.0)
    together(state, [asked("running", 0.0), asked("waiting", 5.0)])
    steps = together(state, [released("running"), asked("better", 1.0)])
    assert granted(steps) == ["better"]
    assert list(state.waiting) == ["waiting"]


def test_of_equal_ranks_the_one_that_waited_goes_first() -> None:
    state = pool(1.0)
    together(state, [asked("running", 0.0), asked("waiting", 5.0)])
    assert granted(together(state, [asked("fresh", 5.0), released("running")])) == ["waiting"]


def test_a_grant_of_a_waiting_request_is_owed_to_the_message_that_freed_it() -> None:
    state = pool(1.0)
    together(state, [asked("running", 0.0), asked("waiting", 5.0)])
    steps = together(state, [asked("late", 9.0), released("running")])
    assert [(place, type(event).__name__) for place, event in steps] == [
        (1, "AllocationFreed"),
        (1, "AllocationGranted"),
        (0, "AllocationQueued"),
    ]


def test_what_does_not_fit_lets_smaller_shapes_pass() -> None:
    state = pool(2.0)
    steps = together(state, [asked("large", 1.0, 4.0), asked("small", 2.0)])
    assert granted(steps) == ["small"]


def test_a_release_in_the_batch_of_its_request_ends_it() -> None:
    state = pool(1.0)
    steps = together(state, [asked("a", 1.0), released("a"), asked("b", 2.0)])
    assert granted(steps) == ["a", "b"]
    assert list(state.grants) == ["b"]


def test_a_repeated_request_in_one_batch_counts_once() -> None:
    state = pool(2.0)
    steps = list(step_batch(RESOURCE, state, [asked("a", 1.0), asked("a", 1.0)], 2))
    assert granted([(place, event) for place, events, _ in steps for event in events]) == ["a"]
    # The second is answered from what is recorded.
    assert [(place, len(effects)) for place, events, effects in steps if not events] == [(1, 1)]


def test_a_client_that_leaves_takes_its_request_of_the_same_batch_along() -> None:
    state = pool(2.0)
    together(state, [asked("a", 1.0, client="c"), m.ClientLeft("p", "c")])
    assert not state.grants
    assert not state.waiting


def test_what_a_reservation_kept_goes_to_its_client() -> None:
    state = pool(1.0)
    together(state, [m.ReserveResources("p", "r", "c", {"cpu_cores": 1.0})])
    steps = together(state, [asked("other", 0.0), asked("own", 9.0, client="c", reservation="r")])
    assert granted(steps) == ["own"]
    assert list(state.waiting) == ["other"]


def test_a_lone_execution_may_hand_on_and_loses_that_when_another_has_to_wait() -> None:
    state = pool(1.0)
    steps = together(state, [asked("a", 1.0), asked("b", 2.0, of="other")])
    assert [type(event).__name__ for _, event in steps] == [
        "AllocationGranted",
        "AllocationQueued",
        "AllocationPermitWithdrawn",
    ]
    assert state.grants["a"].hands == 0


@pytest.mark.parametrize("seed", range(30))
def test_whoever_stores_a_part_of_a_batch_and_gets_it_again_loses_no_request(seed: int) -> None:
    random = Random(seed)
    state = pool(3.0)
    messages: list[Any] = []
    names = [f"{random.choice('xyz')}{number}" for number in range(20)]
    for name in names:
        messages.append(asked(name, random.randrange(4), random.choice((0.5, 1.0, 2.0)), of=name[0]))
        if messages and random.random() < 0.3:
            messages.append(released(random.choice(names)))
    whole = pool(3.0)
    events = [event for _, event in together(whole, messages)]
    for event in events[: random.randrange(len(events) + 1)]:
        RESOURCE.evolve(state, event, 2)
    together(state, [*messages, m.Advance("p")])
    gone = {message.allocation_id for message in messages if isinstance(message, m.ReleaseAllocation)}
    assert (set(state.grants) | set(state.waiting)) >= set(names) - gone
