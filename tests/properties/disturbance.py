"""Executions of random graphs in the closed model, and what disturbs them."""

from __future__ import annotations

from random import Random

from talka_chaos.branches import with_control_flow
from talka_chaos.graphs import licensed, random_workflow
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient


def submitted(random: Random, size: int) -> Model:
    """Return a model of two workers and one licence, to which a random graph was submitted as ``e``."""
    model = Model({"w1": 2.0, "w2": 1.0})
    model.tell(Recipient.RESOURCE, m.ConfigurePool("default", {"licence": 1.0}))
    model.submit(with_control_flow(random, licensed(random, random_workflow(random, "e", size), 0.3)))
    return model


def disturb(random: Random, model: Model) -> None:
    """Let one thing happen: a message in any order, lost or cut short, an end, a timer, a loss, a pause."""
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
