"""Starts by themselves, and what bounds them."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace
from tests.replay.scenarios.running import CORE, DIAMOND, begun, deliver_all, end, workflow_of

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Breaker,
    Concurrency,
    Rate,
    ScalingPolicy,
)
from talka_protocols.schedules import CatchUp, Overlap, Schedule
from talka_protocols.triggers import Trigger
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


def schedules_that_overlap() -> Model:
    """One schedule skips what is due while something of it runs, and another lets one time wait."""
    model = Model({"w1": 2.0})
    for overlap in (Overlap.SKIP, Overlap.QUEUE):
        rules = Schedule(every_seconds=60.0, overlap=overlap, max_runs=2)
        model.tell(Recipient.STARTER, m.PutSchedule(overlap.value, rules, workflow_of(*DIAMOND)))
    for _ in range(3):
        for overlap in (Overlap.SKIP, Overlap.QUEUE):
            model.fire((Recipient.STARTER, overlap.value, "due"))
            deliver_all(model)
    return model


def schedule_requests() -> Model:
    """Requests with ids are heard once, however often they come; the schedule is removed and set anew."""
    model = Model({"w1": 2.0})
    put = m.PutSchedule("golden", Schedule(every_seconds=3600.0), workflow_of(*DIAMOND), request_id="r1")
    asked = (
        put,
        m.PauseSchedule("golden", "r2"),
        m.ResumeSchedule("golden", "r3"),
        m.RunSchedule("golden", "golden-by-hand", "r4"),
        m.RemoveSchedule("golden", "r5"),
        m.ResumeSchedule("golden", "r6"),
        replace(put, request_id="r7"),
    )
    for message in (*asked, *asked):
        model.tell(Recipient.STARTER, message)
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


def triggers() -> Model:
    """One event starts an execution, another signals it; repeats, failures, a refusal, a pause, the end."""
    model = Model({"w1": 2.0})
    tasks = (
        Task("work", AGENT_TYPE, payload={"order": "${input.order}"}),
        Task("paid", "signal", payload={"name": "payment"}),
    )
    starting = Trigger("order.*", "data.total > 10", {"order": "data.id"})
    signalling = Trigger("paid", execution="data.execution", signal="payment", data="data.sum")
    workflow = Workflow("order", "order", tasks, inputs={"order": None})

    def tell(name: str, position: int, event_id: str, kind: str, data: bytes) -> None:
        event = CloudEvent(event_id, "golden", kind, data=Raw(data), extensions={"tenant": "t"})
        model.tell(Recipient.TRIGGER, m.TakeEvent(name, event, position))
        deliver_all(model)

    model.tell(Recipient.TRIGGER, m.CreateTrigger("orders", "r1", starting, 2, workflow))
    model.tell(Recipient.TRIGGER, m.CreateTrigger("payments", "r2", signalling, 2))
    tell("orders", 2, "0", "order.created", b'{"id": "before", "total": 30}')
    tell("orders", 3, "1", "order.created", b'{"id": "a1", "total": 30}')
    tell("orders", 4, "1", "order.created", b'{"id": "a1", "total": 30}')
    tell("orders", 5, "2", "order.created", b'{"id": "a2", "total": 3}')
    tell("orders", 6, "3", "order.created", b'{"id": "a3"}')
    (started,) = [record.execution_id for record in model.executions]
    told = f'{{"execution": "{started}", "sum": 12}}'.encode()
    tell("payments", 7, "4", "paid", told)
    end(model, "work", Outcome.SUCCEEDED)
    tell("payments", 8, "5", "paid", told)
    model.tell(Recipient.TRIGGER, m.PauseTrigger("orders", "r3"))
    tell("orders", 10, "7", "order.created", b'{"id": "a4", "total": 30}')
    model.tell(Recipient.TRIGGER, m.ResumeTrigger("orders", "r4", 10))
    model.tell(Recipient.TRIGGER, m.CreateTrigger("orders", "r5", starting, 10, workflow))
    model.tell(Recipient.TRIGGER, m.DeleteTrigger("orders", "r6"))
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


def scaling() -> Model:
    """Six tasks bring two more workers; those are drained and leave after the cool-down."""
    model = Model({"w1": 1.0})
    model.tell(Recipient.RESOURCE, m.ScalePool("default", ScalingPolicy(1, 3, 1_000, 5_000)))
    tasks = tuple(Task(name, AGENT_TYPE, resources=CORE, estimated_seconds=1.0) for name in "abcdef")
    model.submit(Workflow("golden", "golden", tasks))
    deliver_all(model)
    for number in (1, 2):
        offer = m.RegisterWorker(
            "default", f"e{number}", 1, (AGENT_TYPE,), 4, {"cpu_cores": 1.0}, is_elastic=True
        )
        model.tell(Recipient.RESOURCE, offer)
        model.tell(Recipient.RESOURCE, m.WorkerLeft("default", f"e{number}", 1, "It crashed."))
        model.tell(Recipient.RESOURCE, msgspec.structs.replace(offer, incarnation=2))
    deliver_all(model)
    while model.running:
        end(model, next(iter(model.running))[2], Outcome.SUCCEEDED)
    for _ in range(3):
        model.fire((Recipient.RESOURCE, "default", "scaling"))
    return model
