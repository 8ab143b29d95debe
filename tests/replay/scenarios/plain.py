"""Runs to their ends: success, failure, retries, cancelling, hand-on, lost workers."""

from __future__ import annotations

from tests.replay.scenarios.running import DIAMOND, begun, deliver_all, end, workflow_of

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.baseline import Baseline
from talka_protocols.events import TaskFailure, Usage
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import (
    ClaimCheck,
    Dependency,
    ResourceRequirements,
    Strategy,
    Task,
    Workflow,
    WorkflowConfig,
)


def success() -> Model:
    """Four tasks in a diamond succeed."""
    return begun(workflow_of(*DIAMOND))


def archived() -> Model:
    """An execution that is over is archived; the request comes again, and what comes too late is refused."""
    model = success()
    model.finish()
    events = model.players[Recipient.SCHEDULER, "golden"].state.version
    about = ("file:///archive/golden.talka", "0" * 64, "golden")
    model.tell(Recipient.SCHEDULER, m.ArchiveExecution("golden", "early", events - 1, *about))
    now = model.players[Recipient.SCHEDULER, "golden"].state.version
    for _ in range(2):
        model.tell(Recipient.SCHEDULER, m.ArchiveExecution("golden", "one", now, *about))
    model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", "a", request_id="late"))
    return model


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


def partial() -> Model:
    """One task of four fails, which is tolerated, and all else is done."""
    model = begun(workflow_of(config=WorkflowConfig(tolerated_failures=1)), {"w1": 4.0})
    end(model, "b", Outcome.FAILED)
    return model


def rejected() -> Model:
    """The tasks wait for each other, so nothing is begun."""
    return begun(workflow_of(("a", "b"), ("b", "a")))


def withdrawn() -> Model:
    """The execution is cancelled while one task runs and another waits for its resources."""
    model = begun(workflow_of(), {"w1": 1.0})
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
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


def baseline_adopted() -> Model:
    """A shorter schedule comes under way and is followed; it comes again, and then a stale one."""
    config = WorkflowConfig(strategy=Strategy.RESOURCE_OPTIMIZED)
    model = begun(workflow_of(("a", "b"), config=config), {"w1": 1.0})
    found = Baseline((4.0, 1.0, 2.0, 3.0), ((0, 3), (3, 2), (2, 1)), 4.0)
    for request_id in ("one", "one", "two"):
        model.ask(m.ProposeBaseline("golden", request_id, 0, found))
        deliver_all(model)
    end(model, next(iter(model.running))[2], Outcome.SUCCEEDED)
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


def labels() -> Model:
    """One task runs where its label is, and the next near its large input."""
    half, less = ResourceRequirements(cpu_cores=0.5), ResourceRequirements(cpu_cores=0.25)
    tasks = (
        Task("a", AGENT_TYPE, resources=half, requires={"zone": "a"}),
        Task("b", AGENT_TYPE, resources=less, prefers={"zone": "a"}),
    )
    model = begun(Workflow("golden", "golden", tasks, (Dependency("a", "b"),)), {"w0": 1.0, "w1": 1.0})
    run = next(iter(model.running))
    model.end(run, Outcome.SUCCEEDED, claim=ClaimCheck("r", 1_000_000, "0" * 64))
    deliver_all(model)
    return model


def usage() -> Model:
    """One attempt is measured and fails because of its memory, and the next one is measured too."""
    hog = Task("hog", AGENT_TYPE, retries=1, resources=ResourceRequirements(cpu_cores=0.5))
    model = begun(Workflow("golden", "golden", (hog,)), {"w1": 1.0})
    error = TaskFailure("memory_exceeded", "It held more than it asks for.")
    model.end(next(iter(model.running)), Outcome.FAILED, error=error, usage=Usage(400, 300, 160.0))
    deliver_all(model)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    model.end(next(iter(model.running)), Outcome.SUCCEEDED, usage=Usage(2_000, 1_900, 90.0))
    return model
