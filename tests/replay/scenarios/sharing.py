"""What several share: tenants with quotas and weights, executions with limits, gangs and reservations."""

from __future__ import annotations

from tests.replay.scenarios.running import CORE, deliver_all, end

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import Dependency, Strategy, Task, Workflow, WorkflowConfig


def tenants() -> Model:
    """Two tenants share three cores: one has a quota, the other weight 2 and an execution with limits."""
    model = Model({"w1": 2.0, "w2": 1.0})
    quotas, weights = {"a": {"cpu_cores": 1.0}}, {"b": 2.0}
    model.tell(Recipient.RESOURCE, m.ConfigurePool("default", quotas=quotas, weights=weights))
    tasks = tuple(Task(name, AGENT_TYPE, resources=CORE) for name in "xyz")
    model.submit(Workflow("golden", "golden", tasks, config=WorkflowConfig(tenant="a")))
    config = WorkflowConfig(tenant="b", limits={"cpu_cores": 1.0})
    model.submit(Workflow("limited", "limited", tasks, config=config))
    deliver_all(model)
    end(model, next(iter(model.running))[2], Outcome.SUCCEEDED)
    model.crash_worker("w1")
    deliver_all(model)
    model.tell(Recipient.RESOURCE, m.ConfigurePool("default", weights=weights))
    deliver_all(model)
    return model


def gang() -> Model:
    """Two tasks wait for each other to be ready, then for room for both, and are granted in one event."""
    model = Model({"w1": 1.0, "w2": 1.0})
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE, gang="g", retries=1),
        Task("b", AGENT_TYPE, resources=CORE, gang="g", dependencies=("c",)),
        Task("c", AGENT_TYPE, resources=CORE),
        Task("d", AGENT_TYPE, resources=CORE, estimated_seconds=9.0),
    )
    model.submit(Workflow("golden", "golden", tasks, (Dependency("c", "b"),)))
    deliver_all(model)
    end(model, "c", Outcome.SUCCEEDED)
    end(model, "d", Outcome.SUCCEEDED)
    end(model, "a", Outcome.FAILED)
    return model


def preemption() -> Model:
    """A task is preempted for a deadline, goes on from its checkpoint, and is asked too late once more."""
    model = Model({"w1": 1.0})
    task = Task("a", AGENT_TYPE, resources=CORE, is_preemptible=True)
    model.submit(Workflow("golden", "golden", (task,)))
    deliver_all(model)
    run = next(iter(model.running))
    model.begin(run)
    model.save(run, 1, {"page": 1})
    deliver_all(model)
    due = WorkflowConfig(strategy=Strategy.DEADLINE, deadline=2.0)
    urgent = Task("b", AGENT_TYPE, resources=CORE, estimated_seconds=1.0)
    model.submit(Workflow("urgent", "urgent", (urgent,), config=due))
    deliver_all(model)
    model.end(run, Outcome.CANCELLED)
    deliver_all(model)
    end(model, "b", Outcome.SUCCEEDED)
    model.submit(Workflow("again", "again", (urgent,), config=due))
    deliver_all(model)
    return model


def reservations() -> Model:
    """A task uses a reservation when it begins; another one is cancelled, and a task names it too late."""
    model = Model({"w1": 2.0})
    deliver_all(model)
    cores, starts_at = {"cpu_cores": 1.0}, model.now_ms + 60_000
    for name in ("r1", "r2"):
        message = m.ReserveResources("default", name, "c", cores, ttl_ms=60_000, starts_at=starts_at)
        model.tell(Recipient.RESOURCE, message)
    tasks = tuple(Task(name, AGENT_TYPE, resources=CORE, reservation=f"r{name}") for name in "12")
    model.submit(Workflow("golden", "golden", tasks))
    deliver_all(model)
    model.tell(Recipient.RESOURCE, m.EndReservation("default", "r2", "c"))
    deliver_all(model)
    model.now_ms = starts_at
    model.fire((Recipient.RESOURCE, "default", "booking/r1"))
    deliver_all(model)
    return model
