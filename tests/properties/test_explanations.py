"""Goal: whatever state an execution is in, every one of its tasks can be explained.

Method: seeded random graphs run through the closed model, in which messages are reordered and lost,
commits cut short and workers silent; after each step all tasks are explained.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.disturbance import disturb, submitted

from talka_chaos.model import Model
from talka_core.explanation import Picture, explain
from talka_protocols.messages import Recipient

STEPS = 80


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12))
def test_every_task_has_an_explanation_at_any_moment(seed: int, size: int) -> None:
    """There is always a first cause, and it names the task that was asked about."""
    random = Random(seed)
    model = submitted(random, size)
    for _ in range(STEPS):
        disturb(random, model)
        _check(model)


def _check(model: Model) -> None:
    states: dict[Recipient, dict[str, Any]] = {kind: {} for kind in Recipient}
    for (kind, key), player in model.players.items():
        states[kind][key] = player.state
    schedulers, planners = states[Recipient.SCHEDULER], states[Recipient.PLANNER]
    picture = Picture(model.now_ms, schedulers, planners, states[Recipient.RESOURCE])
    for execution in model.executions:
        for task_id in execution.tasks:
            found = explain(picture, execution.execution_id, task_id)
            first = found.causes[0]
            assert first.task_id == task_id
            assert first.sentence.endswith((".", "?", "!")), first.sentence
            assert found.starts_at is None or found.starts_at >= model.now_ms / 1000
