"""Runs to their ends: success, failure, retries, cancelling, hand-on, lost workers."""

from __future__ import annotations

from tests.replay.scenarios.running import DIAMOND, begun, end, workflow_of

from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import Strategy, WorkflowConfig


def success() -> Model:
    """Four tasks in a diamond succeed."""
    return begun(workflow_of(*DIAMOND))


def failure_and_skip() -> Model:
    """A task fails for good, and what needs it is skipped."""
    model = begun(workflow_of(*DIAMOND))
    end(model, "a", Outcome.SUCCEEDED)
    end(model, "b", Outcome.FAILED)
    return model


def retry() -> Model:
    """A task fails once and succeeds the second time."""
    model = begun(workflow_of(*DIAMOND, retries=1))
    end(model, "a", Outcome.FAILED)
    return model


def cancel() -> Model:
    """The execution is cancelled while two tasks run."""
    model = begun(workflow_of())
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
    return model


def time_limit() -> Model:
    """The execution's time limit passes, and a task had run past its own."""
    model = begun(workflow_of())
    end(model, "a", Outcome.TIMED_OUT)
    model.fire((Recipient.SCHEDULER, "golden", "timeout"))
    return model


def baseline() -> Model:
    """A schedule with links is followed until a task fails; then what was held goes on."""
    config = WorkflowConfig(strategy=Strategy.RESOURCE_OPTIMIZED)
    model = begun(workflow_of(("a", "b"), config=config, retries=1), {"w1": 4.0})
    end(model, "a", Outcome.SUCCEEDED)
    end(model, next(iter(model.running))[2], Outcome.FAILED)
    return model


def hand_on() -> Model:
    """A chain of tasks hands one allocation from each to the next."""
    return begun(workflow_of(("a", "b"), ("b", "c"), ("c", "d")), {"w1": 1.0})


def worker_lost() -> Model:
    """A worker dies with two attempts on it and comes back as a new incarnation."""
    model = begun(workflow_of())
    model.crash_worker("w1")
    return model


def commit_cut_short() -> Model:
    """The scheduler dies with half a decision stored, and the next owner completes it."""
    model = begun(workflow_of(*DIAMOND))
    end(model, "a", Outcome.SUCCEEDED)
    run = next(iter(model.running))
    model.end(run, Outcome.SUCCEEDED)
    model.deliver(0, cut=1)
    return model
