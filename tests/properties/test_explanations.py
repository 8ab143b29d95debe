"""Goal: whatever state an execution is in, every one of its tasks can be explained.

Method: seeded random graphs run through the closed model, in which messages are reordered and lost,
commits cut short and workers silent; after each step all tasks are explained.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_chaos.branches import with_control_flow
from talka_chaos.graphs import licensed, random_workflow
from talka_chaos.model import Model
from talka_core.explanation import Picture, explain
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient

STEPS = 80


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12))
def test_every_task_has_an_explanation_at_any_moment(seed: int, size: int) -> None:
    """There is always a first cause, and it names the task that was asked about."""
    random = Random(seed)
    model = Model({"w1": 2.0, "w2": 1.0})
    model.tell(Recipient.RESOURCE, m.ConfigurePool("default", {"licence": 1.0}))
    workflow = with_control_flow(random, licensed(random, random_workflow(random, "e", size), 0.3))
    model.submit(workflow)
    for _ in range(STEPS):
        _happen(random, model)
        _check(model)


def _happen(random: Random, model: Model) -> None:
    chance = random.random()
    timers = sorted((timer for timer in model.timers if timer[2] != "timeout"), key=str)
    if model.soup and chance < 0.6:
        cut = random.randrange(6) if random.random() < 0.1 else None
        model.deliver(random.randrange(len(model.soup)), cut=cut)
    elif model.soup and chance < 0.65:
        model.drop(random.randrange(len(model.soup)))
    elif model.running and chance < 0.8:
        run = random.choice(list(model.running))
        if not model.running[run]:
            model.begin(run)
        model.end(run, Outcome.FAILED if random.random() < 0.1 else Outcome.SUCCEEDED)
    elif timers and chance < 0.85:
        model.fire(random.choice(timers))
    elif chance < 0.88:
        model.silence(random.choice(("w1", "w2")))
    elif chance < 0.9 and model.executions:
        request = random.choice((m.PauseExecution, m.ResumeExecution))
        model.ask(request("e", f"q{len(model.archive)}"))
    else:
        for kind, key in list(model.players):
            model.resume(kind, key)


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
