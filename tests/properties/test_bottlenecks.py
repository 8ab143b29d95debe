"""Goal: the critical path of any execution covers its time, from the start to the end, exactly once.

Method: seeded random graphs run through the closed model, disturbed in every way, while time passes.
"""

from __future__ import annotations

from random import Random
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.disturbance import disturb, submitted

from talka_chaos.model import Model
from talka_core.bottlenecks import bottlenecks
from talka_protocols.bottlenecks import Bottlenecks
from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionEvent
from talka_protocols.messages import Recipient

STEPS = 120


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12), st.booleans())
def test_the_segments_add_up_to_the_makespan(seed: int, size: int, is_finished: bool) -> None:
    """They follow each other without gaps, none is empty, and the totals say the same."""
    random = Random(seed)
    model = submitted(random, size)
    for _ in range(STEPS):
        model.now_ms += random.choice((0, 0, 7, 250, 1_300))
        disturb(random, model)
    if (Recipient.SCHEDULER, "e") not in model.players:
        return
    if is_finished:
        model.finish()
    found = _found(model)
    at = 0
    for segment in found.segments:
        assert segment.began_ms == at
        assert segment.took_ms > 0
        at += segment.took_ms
    assert at == found.makespan_ms == sum(found.totals_ms.values())


def _found(model: Model) -> Bottlenecks:
    player = model.players[Recipient.SCHEDULER, "e"]
    history = [
        (commit.at, cast("ExecutionEvent", event))
        for body in player.commits
        for commit in [decode_commit(player.name, body)]
        for _, _, event in commit.events()
    ]
    return bottlenecks(player.state, history, model.now_ms)
