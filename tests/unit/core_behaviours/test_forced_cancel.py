"""Goal: cancelling asks what runs to end, and by force kills it, also when it was asked before."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.behaviour import Stop, step
from talka_core.worker import WORKER_BEHAVIOUR
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Task, Workflow


def _running() -> Model:
    model = Model({"w1": 2.0})
    model.submit(Workflow("e", "e", (Task("a", AGENT_TYPE), Task("b", AGENT_TYPE))))
    model.deliver_all()
    for run in list(model.running):
        model.begin(run)
    model.deliver_all()
    return model


def _cancel(model: Model, *, is_forced: bool) -> list[bool]:
    """Cancel, and return with how much force each worker was told to stop something."""
    known = len(model.archive)
    model.tell(Recipient.SCHEDULER, m.CancelExecution("e", "enough", is_forced=is_forced))
    model.deliver_all()
    return [msg.is_forced for _, msg in model.archive[known:] if isinstance(msg, m.CancelTask)]


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


@pytest.mark.parametrize("is_forced", [False, True])
def test_workers_are_told_with_how_much_force(is_forced: bool) -> None:
    """What runs is asked to end, or killed."""
    model = _running()
    assert _cancel(model, is_forced=is_forced) == [is_forced] * 2
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
    model.finish()
    assert (_state(model).status, _state(model).reason) == (ExecutionState.CANCELLED, "enough")


def test_force_works_after_a_request_that_was_not_enough() -> None:
    """The second request kills what the first one asked to end, once; a gentle one is too late."""
    model = _running()
    assert _cancel(model, is_forced=False) == [False, False]
    model.crash(Recipient.SCHEDULER, "e")
    model.deliver_all()
    assert _cancel(model, is_forced=True) == [True, True]
    version = _state(model).version
    assert _cancel(model, is_forced=True) == []
    assert _cancel(model, is_forced=False) == []
    assert _state(model).version == version
    model.finish()


def test_a_worker_kills_what_stops_already() -> None:
    """It stops an attempt once, and once more by force; repeats do nothing."""
    model = _running()
    worker = model.players[Recipient.WORKER, "w1"].state

    def tell(*, is_forced: bool) -> list[Any]:
        message = m.CancelTask("w1", "e", "a", 1, is_forced)
        return [effect for _, effect in step(WORKER_BEHAVIOUR, worker, message, model.now_ms)[1]]

    assert tell(is_forced=False) == [Stop("e", "a", 1)]
    assert tell(is_forced=False) == []
    assert tell(is_forced=True) == [Stop("e", "a", 1, is_forced=True)]
    assert tell(is_forced=True) == []
    assert tell(is_forced=False) == []
