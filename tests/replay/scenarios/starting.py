"""Starts by themselves, and what bounds them."""

from __future__ import annotations

from tests.replay.scenarios.running import CORE, DIAMOND, begun, deliver_all, end, workflow_of

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Breaker,
    Concurrency,
    Rate,
)
from talka_protocols.schedules import CatchUp, Overlap, Schedule
from talka_protocols.workflow import (
    Task,
    Workflow,
    WorkflowConfig,
)


def schedule() -> Model:
    """A schedule misses a time, cancels what runs for the next one, is paused, and ends after three runs."""
    model = Model({"w1": 2.0})
    rules = Schedule(
        every_seconds=60.0,
        time_zone="Europe/Berlin",
        overlap=Overlap.CANCEL,
        catch_up=CatchUp.LAST,
        max_runs=3,
    )
    model.tell(Recipient.STARTER, m.PutSchedule("golden", rules, workflow_of(*DIAMOND)))
    model.now_ms += 150_000
    model.fire((Recipient.STARTER, "golden", "due"))
    deliver_all(model)
    model.fire((Recipient.STARTER, "golden", "due"))
    deliver_all(model)
    model.tell(Recipient.STARTER, m.PauseSchedule("golden"))
    model.tell(Recipient.STARTER, m.ResumeSchedule("golden"))
    model.tell(Recipient.STARTER, m.RunSchedule("golden", "golden-by-hand"))
    model.tell(Recipient.STARTER, m.PutSchedule("golden", Schedule(at=1.0), workflow_of(*DIAMOND)))
    deliver_all(model)
    return model


def keys() -> Model:
    """Three tasks share a key and lose their worker, and two starts wait for their rate."""
    key, rate = Concurrency("orders"), Rate("mails", 1, 5.0)
    tasks = (
        *(Task(name, AGENT_TYPE, concurrency=key) for name in "abc"),
        *(Task(name, AGENT_TYPE, rate=rate) for name in "de"),
    )
    model = begun(Workflow("golden", "golden", tasks), {"w1": 2.0})
    model.crash_worker("w1")
    deliver_all(model)
    return model


def breaker() -> Model:
    """Two failures, one under an allocation that is handed on, open a breaker; a probe closes it."""
    model = Model({"w1": 2.0})
    rule = Breaker(2, 60_000, 5_000)
    model.tell(Recipient.RESOURCE, m.ConfigurePool("default", breakers={AGENT_TYPE: rule}))
    tasks = tuple(Task(name, AGENT_TYPE, resources=CORE) for name in "abcdef")
    model.submit(Workflow("golden", "golden", tasks, config=WorkflowConfig(max_parallel=2)))
    deliver_all(model)
    for outcome in (Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.FAILED):
        end(model, next(iter(model.running))[2], outcome)
        if not model.running:
            model.fire((Recipient.RESOURCE, "default", f"breaker/{AGENT_TYPE}"))
            deliver_all(model)
    return model
