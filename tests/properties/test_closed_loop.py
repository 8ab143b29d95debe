"""Goal: undisturbed, the behaviours finish any workflow; a history cut anywhere still reaches its end.

Method: seeded random graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from random import Random
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_chaos.branches import with_control_flow
from talka_chaos.graphs import random_workflow
from talka_chaos.model import Model
from talka_core.history import FOLDS, apply, packed, violations
from talka_core.scheduler import SCHEDULER
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.events import ExecutionEvent
from talka_protocols.messages import Recipient
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState
from talka_protocols.subjects import EXECUTION

seeds = st.integers(0, 1_000_000)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seeds, st.integers(1, 30))
def test_undisturbed_workflows_succeed(seed: int, size: int) -> None:
    """Every task of a random graph succeeds in its first attempt, in the order of its log."""
    model = Model({"w1": 2.0, "w2": 3.3})
    model.submit(random_workflow(Random(seed), "e", size))
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    assert player.state.status is ExecutionState.SUCCEEDED
    assert all(record.attempt == 1 for record in player.state.tasks.values())
    commits = [decode_commit(player.name, body) for body in player.commits]
    assert not list(violations(SCHEDULER.initial("e"), cast("list[Commit[ExecutionEvent]]", commits)))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seeds, st.integers(1, 20))
def test_control_flow_comes_to_an_end(seed: int, size: int) -> None:
    """Whatever joins and conditions say, every task ends and the history keeps to the tables."""
    random = Random(seed)
    model = Model({"w1": 2.0, "w2": 3.3})
    model.submit(with_control_flow(random, random_workflow(random, "e", size)))
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    assert player.state.status in FINAL_EXECUTION_STATES
    commits = [decode_commit(player.name, body) for body in player.commits]
    assert not list(violations(SCHEDULER.initial("e"), cast("list[Commit[ExecutionEvent]]", commits)))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seeds, st.integers(1, 12), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=8))
def test_histories_cut_anywhere_reach_their_end(seed: int, size: int, cuts: list[tuple[int, int]]) -> None:
    """A decision of which only the first events were stored is completed by whoever folds them."""
    model = Model({"w1": 2.0, "w2": 3.3})
    model.submit(random_workflow(Random(seed), "e", size))
    at = dict(cuts)
    for step_number in range(61):
        if model.soup:
            model.deliver(0, cut=at.get(step_number))
    for submission in [message for _, message in model.archive[:1]]:
        model.tell(Recipient.PLANNER, submission)
    model.finish()
    assert model.players[Recipient.SCHEDULER, "e"].state.status is ExecutionState.SUCCEEDED


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seeds, st.integers(1, 10), st.integers(0, 400))
def test_folding_to_any_event_is_deterministic(seed: int, size: int, until: int) -> None:
    """Folding a log twice up to any event gives the same bytes, and never more than was asked."""
    model = Model({"w1": 3.3})
    model.submit(random_workflow(Random(seed), "e", size))
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    fold = FOLDS[EXECUTION]
    first, second = (apply(fold, fold.initial("e"), commits, until) for _ in range(2))
    assert packed(fold, first) == packed(fold, second)
    assert first.version == min(until, player.state.version)
