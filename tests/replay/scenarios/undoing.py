"""Going back, running again and forking."""

from __future__ import annotations

from tests.replay.scenarios.running import CORE, DIAMOND, begun, deliver_all, end, workflow_of

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.forking import origin_of
from talka_core.scheduler.plans import saved_progress
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Action,
    MapOver,
    Then,
)
from talka_protocols.workflow import (
    Dependency,
    Extension,
    Task,
    Workflow,
)


def _undoable() -> Model:
    """Return an execution in which two of four tasks that can be undone have succeeded and the others run."""
    undo = Action(AGENT_TYPE, {"undo": True}, retries=1)
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE, compensation=undo) for id_ in "abcd")
    edges = (Dependency("a", "b"), Dependency("b", "c"))
    model = begun(Workflow("golden", "golden", tasks, edges))
    end(model, "a", Outcome.SUCCEEDED)
    end(model, "b", Outcome.SUCCEEDED)
    return model


def rollback() -> Model:
    """The execution goes back to the end of its first task and runs again from there."""
    model = _undoable()
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("golden", task_id="a", request_id="one"))
    return model


def rollback_of_sub_workflow() -> Model:
    """Sub-workflows of two attempts are undone, one of them only when asked again; then a third runs."""
    undo = Action(AGENT_TYPE, {"undo": True}, retries=1)
    tasks = (
        Task("one", AGENT_TYPE, resources=CORE, compensation=undo),
        Task("two", AGENT_TYPE, resources=CORE, compensation=undo, dependencies=("one",)),
    )
    sub = Task("sub", "workflow", workflow=Workflow("child", "child", tasks), retries=1)
    model = begun(check(Workflow("golden", "golden", (sub, Task("open", AGENT_TYPE, dependencies=("sub",))))))
    end(model, "one", Outcome.SUCCEEDED)
    end(model, "two", Outcome.FAILED)
    _retry(model)
    end(model, "one", Outcome.SUCCEEDED)
    end(model, "two", Outcome.SUCCEEDED)
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("golden", 1, request_id="one"))
    deliver_all(model)
    end(model, "open", Outcome.SUCCEEDED)
    for _ in range(2):
        end(model, "undo:two:1", Outcome.FAILED)
        _retry(model)
    model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", request_id="two"))
    return model


def rollback_of_map() -> Model:
    """A map keeps the item that had ended, and after a failed item a restart keeps what succeeded."""
    undo = Action(AGENT_TYPE, {"undo": True}, retries=1)
    model = begun(
        Workflow("golden", "golden", (Task("a", AGENT_TYPE, map=MapOver([1, 2, 3]), compensation=undo),))
    )
    end(model, "a[1]", Outcome.SUCCEEDED)
    to = model.players[Recipient.SCHEDULER, "golden"].state.version
    end(model, "a[0]", Outcome.SUCCEEDED)
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("golden", to, request_id="one"))
    deliver_all(model)
    for task_id in ("a[2]", "undo:a[0]:1", "undo:a[2]:1"):
        end(model, task_id, Outcome.SUCCEEDED)
    end(model, "a[0]", Outcome.FAILED)
    end(model, "a[2]", Outcome.SUCCEEDED)
    model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", request_id="two"))
    return model


def _retry(model: Model) -> None:
    for timer in [timer for timer in model.timers if timer[2].startswith("retry/")]:
        model.fire(timer)
    deliver_all(model)


def group_with_map() -> Model:
    """A task behind a map fails, so the items of the map are undone, and then what was before it."""
    undo = Action(AGENT_TYPE, {"item": "${item}"})
    tasks = (
        Task("a", AGENT_TYPE, group="g", compensation=Action(AGENT_TYPE)),
        Task("m", AGENT_TYPE, group="g", dependencies=("a",), map=MapOver([1, 2]), compensation=undo),
        Task("b", AGENT_TYPE, group="g", dependencies=("m",)),
    )
    model = begun(check(Workflow("golden", "golden", tasks)))
    for task_id in ("a", "m[0]", "m[1]"):
        end(model, task_id, Outcome.SUCCEEDED)
    end(model, "b", Outcome.FAILED)
    return model


def rollback_of_paused() -> Model:
    """A task stays paused when everything goes back to an event at which it was, until it is resumed."""
    model = _undoable()
    model.ask(m.PauseExecution("golden", "one", "c"))
    deliver_all(model)
    to = model.players[Recipient.SCHEDULER, "golden"].state.version
    end(model, "d", Outcome.SUCCEEDED)
    model.ask(m.RollBackExecution("golden", to, request_id="two"))
    deliver_all(model)
    model.ask(m.ResumeExecution("golden", "three", "c"))
    return model


def fork() -> Model:
    """A new execution begins with what had ended at an event of a failed one, and runs the rest."""
    model = begun(workflow_of(*DIAMOND))
    end(model, "a", Outcome.SUCCEEDED, b'{"n":7}')
    origin = model.players[Recipient.SCHEDULER, "golden"].state
    kept = origin_of(origin)
    end(model, "b", Outcome.FAILED)
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("forked", origin.workflow, origin=kept))
    return model


def fork_of_grown_graph() -> Model:
    """A fork keeps one item of a map and what a task added, and runs the others."""
    more = Extension((Task("x", AGENT_TYPE, resources=CORE),), (Dependency("x", "z"),))
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE) for id_ in ("a", "z"))
    mapped = Task("m", AGENT_TYPE, map=MapOver([1, 2]), resources=CORE)
    model = begun(Workflow("golden", "golden", (*tasks, mapped), (Dependency("a", "z"),)))
    end(model, "a", Outcome.SUCCEEDED, extension=more)
    end(model, "m[1]", Outcome.SUCCEEDED, b"7")
    origin = model.players[Recipient.SCHEDULER, "golden"].state
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("forked", origin.workflow, origin=origin_of(origin)))
    return model


def rollback_stopped_and_restarted() -> Model:
    """A compensation fails for good, a restart takes the rollback up, and another one runs the rest."""
    model = _undoable()
    stop = m.RollBackExecution("golden", task_id="a", then=Then.STOP, request_id="one")
    model.tell(Recipient.SCHEDULER, stop)
    deliver_all(model)
    for task_id in ("c", "d", "undo:c:1", "undo:d:1"):
        end(model, task_id, Outcome.SUCCEEDED)
    for _ in range(2):
        end(model, "undo:b:1", Outcome.FAILED)
        _retry(model)
    for request_id in ("two", "three"):
        model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", request_id=request_id))
        model.finish()
    return model


def restart_from_task() -> Model:
    """A task that has no compensation runs again with what needs it; the request comes twice."""
    model = begun(workflow_of(*DIAMOND))
    model.finish()
    for _ in range(2):
        model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", "b", request_id="one"))
    return model


def restart_from_checkpoint() -> Model:
    """A task goes on from its first checkpoint of two; a task behind it is undone before that."""
    undo = Action(AGENT_TYPE, {"undo": True})
    tasks = (Task("a", AGENT_TYPE, resources=CORE), Task("b", AGENT_TYPE, resources=CORE, compensation=undo))
    model = begun(Workflow("golden", "golden", tasks, (Dependency("a", "b"),)))
    run = next(iter(model.running))
    model.save(run, 1, "kept", step="upload")
    model.save(run, 2, {"page": 1})
    deliver_all(model)
    chosen = saved_progress(model.players[Recipient.SCHEDULER, "golden"].state, "a")
    model.save(run, 3, {"page": 2})
    deliver_all(model)
    for request_id in ("one", "two"):
        end(model, "a", Outcome.SUCCEEDED)
        if request_id == "one":
            end(model, "b", Outcome.SUCCEEDED)
        asked = m.RestartExecution("golden", "a", request_id=request_id, progress=chosen)
        model.tell(Recipient.SCHEDULER, asked)
        deliver_all(model)
        if request_id == "one":
            end(model, "undo:b:1", Outcome.SUCCEEDED)
    return model
