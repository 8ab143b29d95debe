"""What steers an execution: rules for failures, pauses, time limits, conditions."""

from __future__ import annotations

from tests.replay.scenarios.running import CORE, DIAMOND, begun, deliver_all, end, fail, workflow_of

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.events import TaskFailure
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Action,
    Join,
    OnFailure,
    RetryPolicy,
)
from talka_protocols.workflow import (
    Dependency,
    Task,
    Workflow,
    WorkflowConfig,
)


def pause_and_resume() -> Model:
    """The execution is paused while a request waits and a task ends, and one task is paused for longer."""
    model = begun(workflow_of(*DIAMOND, config=WorkflowConfig(timeout=60.0)), {"w1": 1.0})
    end(model, "a", Outcome.SUCCEEDED)
    model.ask(m.PauseExecution("golden", "one", reason="lunch"))
    model.ask(m.PauseExecution("golden", "two", "d"))
    deliver_all(model)
    end(model, next(run[2] for run in model.running), Outcome.SUCCEEDED)
    model.now_ms += 5_000
    model.ask(m.ResumeExecution("golden", "three"))
    model.ask(m.ResumeExecution("golden", "four"))
    deliver_all(model)
    end(model, next(run[2] for run in model.running), Outcome.SUCCEEDED)
    return model


def reprioritized() -> Model:
    """What waits goes by another strategy, then by another priority; one request makes no sense."""
    tasks = tuple(
        Task(id_, AGENT_TYPE, resources=CORE, priority=own, deadline=due)
        for id_, own, due in (("a", 50, None), ("b", 10, 4.0), ("c", 90, 9.0), ("d", 50, None))
    )
    model = begun(Workflow("golden", "golden", tasks), {"w1": 1.0})
    model.ask(m.ReprioritizeExecution("golden", "one", "deadline", order=(0, 1, 2, 3)))
    model.ask(m.ReprioritizeExecution("golden", "two", "fastest"))
    deliver_all(model)
    end(model, next(run[2] for run in model.running), Outcome.SUCCEEDED)
    model.ask(m.ReprioritizeExecution("golden", "three", priority=90))
    deliver_all(model)
    return model


def time_limit_resumed() -> Model:
    """The execution runs out of time and is resumed with another limit."""
    model = begun(workflow_of(*DIAMOND, config=WorkflowConfig(timeout=60.0)))
    end(model, "a", Outcome.SUCCEEDED)
    model.fire((Recipient.SCHEDULER, "golden", "timeout"))
    deliver_all(model)
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
    deliver_all(model)
    model.ask(m.ResumeExecution("golden", "one", limit_ms=90_000))
    deliver_all(model)
    return model


def fallback() -> Model:
    """A task fails, its fallback fails once and succeeds the second time."""
    action = Action(AGENT_TYPE, {"with": "${a}"}, retries=1)
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE),
        Task("b", AGENT_TYPE, resources=CORE, fallback=action),
        Task("c", AGENT_TYPE, resources=CORE),
    )
    edges = (Dependency("a", "b"), Dependency("b", "c"))
    model = begun(Workflow("golden", "golden", tasks, edges))
    end(model, "a", Outcome.SUCCEEDED)
    end(model, "b", Outcome.FAILED)
    end(model, "b", Outcome.FAILED)
    return model


def fail_fast() -> Model:
    """A second failure is more than is tolerated and ends everything."""
    config = WorkflowConfig(max_parallel=3, on_failure=OnFailure.FAIL_FAST, tolerated_failures=1)
    model = begun(workflow_of(config=config), {"w1": 4.0})
    end(model, "a", Outcome.FAILED)
    end(model, "b", Outcome.TIMED_OUT)
    return model


def start_timeout() -> Model:
    """A task does not get its resources in time, and what needs it is skipped."""
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE, priority=90),
        Task("b", AGENT_TYPE, resources=CORE, start_timeout=5.0),
        Task("c", AGENT_TYPE, resources=CORE),
    )
    workflow = Workflow("golden", "golden", tasks, (Dependency("b", "c"),))
    model = begun(workflow, {"w1": 1.0})
    model.fire((Recipient.SCHEDULER, "golden", "start/b"))
    deliver_all(model)
    return model


def start_withdrawn() -> Model:
    """A worker does not start an attempt in time, says so when it is withdrawn, and runs the next one."""
    tasks = (Task("a", AGENT_TYPE, resources=CORE, start_timeout=5.0, retries=1),)
    model = Model({"w1": 1.0})
    model.submit(Workflow("golden", "golden", tasks))
    while not any(isinstance(message, m.StartTask) for _, message in model.soup):
        model.deliver(0)
    model.soup = [(to, message) for to, message in model.soup if not isinstance(message, m.StartTask)]
    model.fire((Recipient.SCHEDULER, "golden", "start/a"))
    deliver_all(model)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    end(model, "a", Outcome.SUCCEEDED)
    return model


def heartbeat_timeout() -> Model:
    """An attempt gives no sign of life in time, and the next one succeeds."""
    tasks = (Task("a", AGENT_TYPE, resources=CORE, retries=1, heartbeat_timeout=5.0),)
    model = begun(Workflow("golden", "golden", tasks))
    end(model, "a", Outcome.TIMED_OUT)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    end(model, "a", Outcome.SUCCEEDED)
    return model


def forced_cancel() -> Model:
    """The execution is cancelled, and then by force."""
    model = begun(workflow_of())
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
    deliver_all(model)
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "told to", is_forced=True))
    return model


def task_cancelled() -> Model:
    """One task is cancelled while it runs, then by force, and another one before it runs."""
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE),
        Task("b", AGENT_TYPE, resources=CORE, retries=2),
        Task("c", AGENT_TYPE, resources=CORE, dependencies=("a",), on_failure=OnFailure.CONTINUE),
        Task("d", AGENT_TYPE, resources=CORE, dependencies=("c",)),
        Task("e", AGENT_TYPE, resources=CORE, dependencies=("b",)),
    )
    model = begun(Workflow("golden", "golden", tasks))
    model.ask(m.CancelSingleTask("golden", "one", "b", "too slow"))
    deliver_all(model)
    model.ask(m.CancelSingleTask("golden", "two", "b", "far too slow", is_forced=True))
    model.ask(m.CancelSingleTask("golden", "three", "c", "no longer needed"))
    model.ask(m.CancelSingleTask("golden", "four", "none"))
    deliver_all(model)
    end(model, "b", Outcome.CANCELLED)
    end(model, "a", Outcome.SUCCEEDED)
    return model


def parked() -> Model:
    """A task loses eleven attempts with their worker, is parked, and released."""
    model = begun(Workflow("golden", "golden", (Task("a", AGENT_TYPE, resources=CORE),)))
    for _ in range(11):
        end(model, "a", Outcome.LOST)
    model.ask(m.ReleaseTask("golden", "one", "a"))
    deliver_all(model)
    return model


def retry_rules() -> Model:
    """A task fails with an error that is worth another attempt, then with one that is not."""
    policy = RetryPolicy(base_seconds=2.0, factor=3.0, never=("ValueError",))
    tasks = (Task("a", AGENT_TYPE, resources=CORE, retries=3, retry=policy),)
    model = begun(Workflow("golden", "golden", tasks))
    fail(model, "a", TaskFailure("task_failed", "Away.", kinds=("ConnectionError", "OSError")))
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    fail(model, "a", TaskFailure("task_failed", "Wrong.", kinds=("ValueError",)))
    return model


def branches() -> Model:
    """One branch runs and one is left out, they meet again, and a condition has no answer."""
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE),
        Task("b", AGENT_TYPE, resources=CORE, when="a.n == 1"),
        Task("c", AGENT_TYPE, resources=CORE, when="a.n != 1"),
        Task("d", AGENT_TYPE, dependencies=("b", "c"), join=Join.ANY),
        Task("e", AGENT_TYPE, when="a.missing == 1"),
        Task("f", AGENT_TYPE, when='tasks["e"].status == "failed"', join=Join.DONE),
    )
    model = begun(Workflow("golden", "golden", tasks))
    end(model, "a", Outcome.SUCCEEDED, b'{"n": 1}')
    return model
