"""Goal: the numbers that are read off any execution's events agree with how its tasks stand at the end.

Method: seeded random graphs run through the closed model, disturbed in every way, while time passes.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.disturbance import disturb, submitted

from talka_chaos.model import Model
from talka_core.metering import LABELS, ExecutionMeter, Measure, Reading
from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionEvent, TaskReady, TaskScheduled
from talka_protocols.messages import Recipient

STEPS = 120


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12))
def test_the_numbers_agree_with_the_end(seed: int, size: int) -> None:
    """Each task's end is counted for each of its runs, no duration is negative, labels are as told."""
    random = Random(seed)
    model = submitted(random, size)
    for _ in range(STEPS):
        model.now_ms += random.choice((0, 0, 7, 250, 1_300))
        disturb(random, model)
    if (Recipient.SCHEDULER, "e") not in model.players:
        return
    model.finish()
    history = _history(model)
    meter = ExecutionMeter()
    readings = [reading for at, event in history for reading in meter.read(event, at)]
    assert all(
        reading.value >= 0 and len(reading.labels) == len(LABELS[reading.measure]) for reading in readings
    )
    assert _count(readings, Measure.EXECUTION_ENDED) == _count(readings, Measure.DURATION) == 1
    runs = Counter(event.task_id for _, event in history if isinstance(event, TaskReady))
    state = model.players[Recipient.SCHEDULER, "e"].state
    ended = _count(readings, Measure.TASK_ENDED)
    assert len(state.tasks) <= ended <= len(state.tasks) + sum(runs.values())
    scheduled = sum(isinstance(event, TaskScheduled) for _, event in history)
    assert _count(readings, Measure.RESOURCE_WAIT) <= scheduled


def _count(readings: list[Reading], measure: Measure) -> int:
    return sum(reading.measure is measure for reading in readings)


def _history(model: Model) -> list[tuple[int, ExecutionEvent]]:
    player = model.players[Recipient.SCHEDULER, "e"]
    return [
        (commit.at, cast("ExecutionEvent", event))
        for body in player.commits
        for commit in [decode_commit(player.name, body)]
        for _, _, event in commit.events()
    ]
