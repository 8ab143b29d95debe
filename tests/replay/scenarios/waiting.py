"""What waits: for time, for the outside, for people and for sub-workflows."""

from __future__ import annotations

from msgspec import Raw
from tests.replay.scenarios.running import begun, deliver_all, end

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.waiting import child_id
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import (
    Dependency,
    Task,
    Workflow,
)


def wait() -> Model:
    """A task waits for time, over a takeover of the scheduler."""
    tasks = (Task("pause", "wait", payload={"seconds": 90}), Task("after", AGENT_TYPE))
    model = begun(Workflow("golden", "golden", tasks, (Dependency("pause", "after"),)))
    model.crash(Recipient.SCHEDULER, "golden")
    return model


def signal() -> Model:
    """Two signals come, one of them twice, before and while tasks wait for them."""
    tasks = (
        Task("order", "signal", payload={"name": "paid"}),
        Task("next", "signal", payload={"name": "paid", "timeout_seconds": 60, "default": 0}),
        Task("last", "signal", payload={"name": "paid"}, dependencies=("next",)),
    )
    model = begun(Workflow("golden", "golden", tasks, (Dependency("next", "last"),)))
    for signal_id in ("s1", "s1", "s2", "s3"):
        model.tell(Recipient.SCHEDULER, m.SignalExecution("golden", "paid", signal_id, Raw(b'{"n":1}')))
    return model


def approval() -> Model:
    """One question is answered, one is rejected, and one meets its deadline."""
    ask = {"question": "Go on?", "assignees": ["Ada"]}
    tasks = (
        Task("yes", "approval", payload=ask),
        Task("no", "approval", payload=ask),
        Task("late", "approval", payload={**ask, "timeout_seconds": 60, "default": "approve"}),
    )
    model = begun(Workflow("golden", "golden", tasks))
    for task_id, choice in (("yes", "approve"), ("no", "reject"), ("yes", "reject")):
        message = m.AnswerApproval("golden", task_id, choice, "Ada", "as ever")
        model.tell(Recipient.SCHEDULER, message)
    return model


def sub_workflow() -> Model:
    """A task's sub-workflow fails, is tried again with the same inputs, and succeeds."""
    ask = Task("ask", "approval", payload={"question": "${input.what}?", "choices": ["yes"]})
    child = Workflow("child", "child", (ask, Task("work", AGENT_TYPE)), inputs={"what": None})
    payload = {"inputs": {"what": "corn"}, "output": "ask"}
    task = Task("sub", "workflow", payload=payload, workflow=child, retries=1)
    model = begun(
        check(Workflow("golden", "golden", (task, Task("after", AGENT_TYPE, dependencies=("sub",)))))
    )
    for attempt, outcome in ((1, Outcome.FAILED), (2, Outcome.SUCCEEDED)):
        child_key = child_id("golden", "sub", attempt)
        model.tell(Recipient.SCHEDULER, m.AnswerApproval(child_key, "ask", "yes", "Ada"))
        end(model, "work", outcome)
        if outcome is Outcome.FAILED:
            model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
            deliver_all(model)
    return model


def sub_workflow_cancelled() -> Model:
    """An execution is cancelled while a sub-workflow of it runs."""
    child = Workflow("child", "child", (Task("work", AGENT_TYPE),))
    model = begun(check(Workflow("golden", "golden", (Task("sub", "workflow", workflow=child),))))
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
    return model
