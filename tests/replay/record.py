"""Records golden histories: ``python tests/replay/record.py`` writes those that are not there yet.

A history that exists is never written again: what was stored once must be readable for ever.
Each line is a commit of one log; the last lines hold the states that the logs fold to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.history import FOLDS, packed
from talka_core.scheduler.forking import origin_of
from talka_core.scheduler.waiting import child_id
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.events import TaskFailure
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Action,
    Concurrency,
    Join,
    Loop,
    MapOver,
    OnFailure,
    Rate,
    RetryPolicy,
    Then,
)
from talka_protocols.schedules import CatchUp, Overlap, Schedule
from talka_protocols.workflow import (
    ClaimCheck,
    Dependency,
    Extension,
    ResourceRequirements,
    Task,
    Workflow,
    WorkflowConfig,
)

HISTORIES = Path(__file__).parent / "histories"
CORE = ResourceRequirements(cpu_cores=1.0)


def _workflow(*edges: tuple[str, str], retries: int = 0, config: WorkflowConfig | None = None) -> Workflow:
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE, retries=retries) for id_ in "abcd")
    dependencies = tuple(Dependency(*edge) for edge in edges)
    return Workflow("golden", "golden", tasks, dependencies, config or WorkflowConfig(max_parallel=2))


DIAMOND = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))


def _begun(workflow: Workflow, workers: dict[str, float] | None = None) -> Model:
    model = Model(workers or {"w1": 2.0})
    model.submit(workflow)
    _deliver_all(model)
    return model


def _deliver_all(model: Model) -> None:
    while model.soup:
        model.deliver(0)
    model.now_ms += 7


def _end(model: Model, task_id: str, outcome: Outcome, result: bytes = b"null") -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(result))
    _deliver_all(model)


def _fail(model: Model, task_id: str, error: TaskFailure) -> None:
    """Let a task fail with an error of the worker's."""
    run = next(run for run in model.running if run[2] == task_id)
    del model.running[run]
    worker_id, execution_id, _, attempt = run
    now = model.now_ms
    report = m.AttemptFinished(
        execution_id, task_id, attempt, worker_id, now, now, Outcome.FAILED, error=error
    )
    model.tell(Recipient.WORKER, m.AttemptEnded(worker_id, report))
    _deliver_all(model)


def success() -> Model:
    """Four tasks in a diamond succeed."""
    return _begun(_workflow(*DIAMOND))


def failure_and_skip() -> Model:
    """A task fails for good, and what needs it is skipped."""
    model = _begun(_workflow(*DIAMOND))
    _end(model, "a", Outcome.SUCCEEDED)
    _end(model, "b", Outcome.FAILED)
    return model


def retry() -> Model:
    """A task fails once and succeeds the second time."""
    model = _begun(_workflow(*DIAMOND, retries=1))
    _end(model, "a", Outcome.FAILED)
    return model


def cancel() -> Model:
    """The execution is cancelled while two tasks run."""
    model = _begun(_workflow())
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
    return model


def time_limit() -> Model:
    """The execution's time limit passes, and a task had run past its own."""
    model = _begun(_workflow())
    _end(model, "a", Outcome.TIMED_OUT)
    model.fire((Recipient.SCHEDULER, "golden", "timeout"))
    return model


def hand_on() -> Model:
    """A chain of tasks hands one allocation from each to the next."""
    return _begun(_workflow(("a", "b"), ("b", "c"), ("c", "d")), {"w1": 1.0})


def worker_lost() -> Model:
    """A worker dies with two attempts on it and comes back as a new incarnation."""
    model = _begun(_workflow())
    model.crash_worker("w1")
    return model


def commit_cut_short() -> Model:
    """The scheduler dies with half a decision stored, and the next owner completes it."""
    model = _begun(_workflow(*DIAMOND))
    _end(model, "a", Outcome.SUCCEEDED)
    run = next(iter(model.running))
    model.end(run, Outcome.SUCCEEDED)
    model.deliver(0, cut=1)
    return model


def pause_and_resume() -> Model:
    """The execution is paused while a request waits and a task ends, and one task is paused for longer."""
    model = _begun(_workflow(*DIAMOND, config=WorkflowConfig(timeout=60.0)), {"w1": 1.0})
    _end(model, "a", Outcome.SUCCEEDED)
    model.ask(m.PauseExecution("golden", "one", reason="lunch"))
    model.ask(m.PauseExecution("golden", "two", "d"))
    _deliver_all(model)
    _end(model, next(run[2] for run in model.running), Outcome.SUCCEEDED)
    model.now_ms += 5_000
    model.ask(m.ResumeExecution("golden", "three"))
    model.ask(m.ResumeExecution("golden", "four"))
    _deliver_all(model)
    _end(model, next(run[2] for run in model.running), Outcome.SUCCEEDED)
    return model


def time_limit_resumed() -> Model:
    """The execution runs out of time and is resumed with another limit."""
    model = _begun(_workflow(*DIAMOND, config=WorkflowConfig(timeout=60.0)))
    _end(model, "a", Outcome.SUCCEEDED)
    model.fire((Recipient.SCHEDULER, "golden", "timeout"))
    _deliver_all(model)
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
    _deliver_all(model)
    model.ask(m.ResumeExecution("golden", "one", limit_ms=90_000))
    _deliver_all(model)
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
    model = _begun(Workflow("golden", "golden", tasks, edges))
    _end(model, "a", Outcome.SUCCEEDED)
    _end(model, "b", Outcome.FAILED)
    _end(model, "b", Outcome.FAILED)
    return model


def fail_fast() -> Model:
    """A second failure is more than is tolerated and ends everything."""
    config = WorkflowConfig(max_parallel=3, on_failure=OnFailure.FAIL_FAST, tolerated_failures=1)
    model = _begun(_workflow(config=config), {"w1": 4.0})
    _end(model, "a", Outcome.FAILED)
    _end(model, "b", Outcome.TIMED_OUT)
    return model


def start_timeout() -> Model:
    """A task does not get its resources in time, and what needs it is skipped."""
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE, priority=90),
        Task("b", AGENT_TYPE, resources=CORE, start_timeout=5.0),
        Task("c", AGENT_TYPE, resources=CORE),
    )
    workflow = Workflow("golden", "golden", tasks, (Dependency("b", "c"),))
    model = _begun(workflow, {"w1": 1.0})
    model.fire((Recipient.SCHEDULER, "golden", "start/b"))
    _deliver_all(model)
    return model


def forced_cancel() -> Model:
    """The execution is cancelled, and then by force."""
    model = _begun(_workflow())
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
    _deliver_all(model)
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "told to", is_forced=True))
    return model


def parked() -> Model:
    """A task loses eleven attempts with their worker, is parked, and released."""
    model = _begun(Workflow("golden", "golden", (Task("a", AGENT_TYPE, resources=CORE),)))
    for _ in range(11):
        _end(model, "a", Outcome.LOST)
    model.ask(m.ReleaseTask("golden", "one", "a"))
    _deliver_all(model)
    return model


def retry_rules() -> Model:
    """A task fails with an error that is worth another attempt, then with one that is not."""
    policy = RetryPolicy(base_seconds=2.0, factor=3.0, never=("ValueError",))
    tasks = (Task("a", AGENT_TYPE, resources=CORE, retries=3, retry=policy),)
    model = _begun(Workflow("golden", "golden", tasks))
    _fail(model, "a", TaskFailure("task_failed", "Away.", kinds=("ConnectionError", "OSError")))
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    _deliver_all(model)
    _fail(model, "a", TaskFailure("task_failed", "Wrong.", kinds=("ValueError",)))
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
    model = _begun(Workflow("golden", "golden", tasks))
    _end(model, "a", Outcome.SUCCEEDED, b'{"n": 1}')
    return model


def _undoable() -> Model:
    """Return an execution in which two of four tasks that can be undone have succeeded and the others run."""
    undo = Action(AGENT_TYPE, {"undo": True}, retries=1)
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE, compensation=undo) for id_ in "abcd")
    edges = (Dependency("a", "b"), Dependency("b", "c"))
    model = _begun(Workflow("golden", "golden", tasks, edges))
    _end(model, "a", Outcome.SUCCEEDED)
    _end(model, "b", Outcome.SUCCEEDED)
    return model


def rollback() -> Model:
    """The execution goes back to the end of its first task and runs again from there."""
    model = _undoable()
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("golden", task_id="a", request_id="one"))
    return model


def fork() -> Model:
    """A new execution begins with what had ended at an event of a failed one, and runs the rest."""
    model = _begun(_workflow(*DIAMOND))
    _end(model, "a", Outcome.SUCCEEDED, b'{"n":7}')
    origin = model.players[Recipient.SCHEDULER, "golden"].state
    kept = origin_of(origin)
    _end(model, "b", Outcome.FAILED)
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("forked", origin.workflow, origin=kept))
    return model


def rollback_stopped_and_restarted() -> Model:
    """A compensation fails for good, a restart takes the rollback up, and another one runs the rest."""
    model = _undoable()
    stop = m.RollBackExecution("golden", task_id="a", then=Then.STOP, request_id="one")
    model.tell(Recipient.SCHEDULER, stop)
    _deliver_all(model)
    for task_id in ("c", "d", "undo:c:1", "undo:d:1"):
        _end(model, task_id, Outcome.SUCCEEDED)
    for _ in range(2):
        _end(model, "undo:b:1", Outcome.FAILED)
        for timer in [timer for timer in model.timers if timer[2].startswith("retry/")]:
            model.fire(timer)
        _deliver_all(model)
    for request_id in ("two", "three"):
        model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", request_id=request_id))
        model.finish()
    return model


def restart_from_task() -> Model:
    """A task that has no compensation runs again with what needs it; the request comes twice."""
    model = _begun(_workflow(*DIAMOND))
    model.finish()
    for _ in range(2):
        model.tell(Recipient.SCHEDULER, m.RestartExecution("golden", "b", request_id="one"))
    return model


def wait() -> Model:
    """A task waits for time, over a takeover of the scheduler."""
    tasks = (Task("pause", "wait", payload={"seconds": 90}), Task("after", AGENT_TYPE))
    model = _begun(Workflow("golden", "golden", tasks, (Dependency("pause", "after"),)))
    model.crash(Recipient.SCHEDULER, "golden")
    return model


def signal() -> Model:
    """Two signals come, one of them twice, before and while tasks wait for them."""
    tasks = (
        Task("order", "signal", payload={"name": "paid"}),
        Task("next", "signal", payload={"name": "paid", "timeout_seconds": 60, "default": 0}),
        Task("last", "signal", payload={"name": "paid"}, dependencies=("next",)),
    )
    model = _begun(Workflow("golden", "golden", tasks, (Dependency("next", "last"),)))
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
    model = _begun(Workflow("golden", "golden", tasks))
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
    model = _begun(
        check(Workflow("golden", "golden", (task, Task("after", AGENT_TYPE, dependencies=("sub",)))))
    )
    for attempt, outcome in ((1, Outcome.FAILED), (2, Outcome.SUCCEEDED)):
        child_key = child_id("golden", "sub", attempt)
        model.tell(Recipient.SCHEDULER, m.AnswerApproval(child_key, "ask", "yes", "Ada"))
        _end(model, "work", outcome)
        if outcome is Outcome.FAILED:
            model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
            _deliver_all(model)
    return model


def sub_workflow_cancelled() -> Model:
    """An execution is cancelled while a sub-workflow of it runs."""
    child = Workflow("child", "child", (Task("work", AGENT_TYPE),))
    model = _begun(check(Workflow("golden", "golden", (Task("sub", "workflow", workflow=child),))))
    model.tell(Recipient.SCHEDULER, m.CancelExecution("golden", "asked to"))
    return model


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
    model = _begun(Workflow("golden", "golden", tasks))
    _end(model, "split", Outcome.SUCCEEDED, b'{"parts": [{"n": 1}, {"n": 2}, {"n": 3}]}')
    _end(model, "m[1]", Outcome.FAILED)
    _end(model, "strict[0]", Outcome.FAILED)
    return model


def loop_in_rounds() -> Model:
    """A loop ends in its second round, and another one never does."""
    tasks = (
        Task("poll", AGENT_TYPE, payload={"last": "${loop.result.n}"}, loop=Loop("result.n == 2", 3, 0.5)),
        Task("never", AGENT_TYPE, loop=Loop("result == 1", max_iterations=2)),
    )
    model = _begun(Workflow("golden", "golden", tasks))
    _end(model, "poll", Outcome.SUCCEEDED, b'{"n": 1}')
    model.fire((Recipient.SCHEDULER, "golden", "retry/poll/1"))
    _deliver_all(model)
    _end(model, "poll", Outcome.SUCCEEDED, b'{"n": 2}')
    return model


def checkpoints() -> Model:
    """An attempt saves checkpoints and steps and fails; the next one is lost with its worker."""
    model = _begun(_workflow(*DIAMOND, retries=2))
    run = next(iter(model.running))
    model.save(run, 1, {"page": 1})
    model.save(run, 2, [1, 2], step="upload")
    _deliver_all(model)
    model.save(run, 3, {"page": 2})
    _deliver_all(model)
    _end(model, "a", Outcome.FAILED)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    _deliver_all(model)
    model.save(next(iter(model.running)), 1, {"page": 3})
    _deliver_all(model)
    model.crash_worker("w1")
    return model


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
    model.tell(Recipient.STARTER, m.PutSchedule("golden", rules, _workflow(*DIAMOND)))
    model.now_ms += 150_000
    model.fire((Recipient.STARTER, "golden", "due"))
    _deliver_all(model)
    model.fire((Recipient.STARTER, "golden", "due"))
    _deliver_all(model)
    model.tell(Recipient.STARTER, m.PauseSchedule("golden"))
    model.tell(Recipient.STARTER, m.ResumeSchedule("golden"))
    model.tell(Recipient.STARTER, m.RunSchedule("golden", "golden-by-hand"))
    model.tell(Recipient.STARTER, m.PutSchedule("golden", Schedule(at=1.0), _workflow(*DIAMOND)))
    _deliver_all(model)
    return model


def extension() -> Model:
    """A task adds two others in front of one that waits for it, and a second one adds a cycle in vain."""
    tasks = (
        Task("plan", AGENT_TYPE, resources=CORE),
        Task("bad", AGENT_TYPE, resources=CORE),
        Task("end", AGENT_TYPE, dependencies=("plan", "bad")),
    )
    model = _begun(Workflow("golden", "golden", tasks))
    steps = (Task("one", AGENT_TYPE), Task("two", AGENT_TYPE, payload={"x": "${one}"}))
    wanted = {
        "plan": Extension(steps, (Dependency("two", "end"),)),
        "bad": Extension((Task("round", AGENT_TYPE, dependencies=("end",)),), (Dependency("round", "end"),)),
    }
    for task_id, extension in wanted.items():
        run = next(run for run in model.running if run[2] == task_id)
        model.begin(run)
        model.end(run, Outcome.SUCCEEDED, extension=extension)
        _deliver_all(model)
    return model


def artifacts() -> Model:
    """A task writes artifacts, another reads one and races for the other in no order."""
    model = _begun(_workflow(("a", "d"), config=WorkflowConfig()), {"w1": 4.0})
    claim = ClaimCheck("object", 3, "digest")
    run = next(run for run in model.running if run[2] == "a")
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, artifacts={"book": claim, "out.txt": None})
    _deliver_all(model)
    model.read(next(run for run in model.running if run[2] == "b"), 1, "book")
    _deliver_all(model)
    run = next(run for run in model.running if run[2] == "c")
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, artifacts={"book": claim})
    return model


def keys() -> Model:
    """Three tasks share a key and lose their worker, and two starts wait for their rate."""
    key, rate = Concurrency("orders"), Rate("mails", 1, 5.0)
    tasks = (
        *(Task(name, AGENT_TYPE, concurrency=key) for name in "abc"),
        *(Task(name, AGENT_TYPE, rate=rate) for name in "de"),
    )
    model = _begun(Workflow("golden", "golden", tasks), {"w1": 2.0})
    model.crash_worker("w1")
    _deliver_all(model)
    return model


SCENARIOS: dict[str, Callable[[], Model]] = {
    scenario.__name__: scenario
    for scenario in (
        success,
        failure_and_skip,
        retry,
        cancel,
        time_limit,
        hand_on,
        worker_lost,
        commit_cut_short,
        pause_and_resume,
        time_limit_resumed,
        fallback,
        fail_fast,
        start_timeout,
        forced_cancel,
        parked,
        fork,
        rollback,
        rollback_stopped_and_restarted,
        restart_from_task,
        retry_rules,
        branches,
        wait,
        signal,
        approval,
        sub_workflow,
        sub_workflow_cancelled,
        map_over_items,
        loop_in_rounds,
        checkpoints,
        schedule,
        extension,
        artifacts,
        keys,
    )
}


def lines(model: Model) -> list[bytes]:
    """Return a finished model's logs and states as lines of JSON."""
    players = [player for player in model.players.values() if player.kind is not Recipient.WORKER]
    commits: list[dict[str, Any]] = [
        {"log": player.name, "commit": Raw(body)} for player in players for body in player.commits
    ]
    states: list[dict[str, Any]] = [
        {"log": player.name, "state": Raw(packed(FOLDS[player.name.kind], player.state))}
        for player in players
    ]
    return [msgspec.json.encode(line) for line in commits + states]


def main() -> None:
    """Write every history that does not exist yet."""
    HISTORIES.mkdir(exist_ok=True)
    for name, scenario in SCENARIOS.items():
        path = HISTORIES / f"{name}.jsonl"
        if not path.exists():
            model = scenario()
            model.finish()
            path.write_bytes(b"\n".join(lines(model)) + b"\n")


if __name__ == "__main__":
    main()
