"""Tasks that are many or leave something behind: maps, loops, additions, checkpoints, artifacts."""

from __future__ import annotations

from tests.replay.scenarios.running import CORE, DIAMOND, begun, deliver_all, end, workflow_of

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Loop,
    MapOver,
)
from talka_protocols.workflow import (
    ClaimCheck,
    Dependency,
    Extension,
    Task,
    Workflow,
    WorkflowConfig,
)


def map_over_items() -> Model:
    """A map runs two items at once, tolerates one failure, and a second map fails with its first."""
    tasks = (
        Task("split", AGENT_TYPE),
        Task(
            "m",
            AGENT_TYPE,
            payload={"n": "${item.n}"},
            map=MapOver("${split.parts}", max_parallel=2, tolerated_failures=1),
        ),
        Task("strict", AGENT_TYPE, map=MapOver([1, 2])),
        Task("after", AGENT_TYPE, payload={"all": "${m}"}),
    )
    model = begun(Workflow("golden", "golden", tasks))
    end(model, "split", Outcome.SUCCEEDED, b'{"parts": [{"n": 1}, {"n": 2}, {"n": 3}]}')
    end(model, "m[1]", Outcome.FAILED)
    end(model, "strict[0]", Outcome.FAILED)
    return model


def loop_in_rounds() -> Model:
    """A loop ends in its second round, and another one never does."""
    tasks = (
        Task("poll", AGENT_TYPE, payload={"last": "${loop.result.n}"}, loop=Loop("result.n == 2", 3, 0.5)),
        Task("never", AGENT_TYPE, loop=Loop("result == 1", max_iterations=2)),
    )
    model = begun(Workflow("golden", "golden", tasks))
    end(model, "poll", Outcome.SUCCEEDED, b'{"n": 1}')
    model.fire((Recipient.SCHEDULER, "golden", "retry/poll/1"))
    deliver_all(model)
    end(model, "poll", Outcome.SUCCEEDED, b'{"n": 2}')
    return model


def checkpoints() -> Model:
    """An attempt saves checkpoints and steps and fails; the next one is lost with its worker."""
    model = begun(workflow_of(*DIAMOND, retries=2))
    run = next(iter(model.running))
    model.save(run, 1, {"page": 1})
    model.save(run, 2, [1, 2], step="upload")
    deliver_all(model)
    model.save(run, 3, {"page": 2})
    deliver_all(model)
    end(model, "a", Outcome.FAILED)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    model.save(next(iter(model.running)), 1, {"page": 3})
    deliver_all(model)
    model.crash_worker("w1")
    return model


def extension() -> Model:
    """A task adds two others in front of one that waits for it, and a second one adds a cycle in vain."""
    tasks = (
        Task("plan", AGENT_TYPE, resources=CORE),
        Task("bad", AGENT_TYPE, resources=CORE),
        Task("end", AGENT_TYPE, dependencies=("plan", "bad")),
    )
    model = begun(Workflow("golden", "golden", tasks))
    steps = (Task("one", AGENT_TYPE), Task("two", AGENT_TYPE, payload={"x": "${one}"}))
    wanted = {
        "plan": Extension(steps, (Dependency("two", "end"),)),
        "bad": Extension((Task("round", AGENT_TYPE, dependencies=("end",)),), (Dependency("round", "end"),)),
    }
    for task_id, extension in wanted.items():
        run = next(run for run in model.running if run[2] == task_id)
        model.begin(run)
        model.end(run, Outcome.SUCCEEDED, extension=extension)
        deliver_all(model)
    return model


def artifacts() -> Model:
    """A task writes artifacts, another reads one and races for the other in no order."""
    model = begun(workflow_of(("a", "d"), config=WorkflowConfig()), {"w1": 4.0})
    claim = ClaimCheck("object", 3, "digest")
    run = next(run for run in model.running if run[2] == "a")
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, artifacts={"book": claim, "out.txt": None})
    deliver_all(model)
    model.read(next(run for run in model.running if run[2] == "b"), 1, "book")
    deliver_all(model)
    run = next(run for run in model.running if run[2] == "c")
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, artifacts={"book": claim})
    return model
