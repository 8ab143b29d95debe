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
from talka_protocols import messages as m
from talka_protocols.events import TaskFailure
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, Join, RetryPolicy, Then
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow, WorkflowConfig

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


def rollback_stopped_and_restarted() -> Model:
    """A compensation fails for good, a restart takes the rollback up, it stops, and another one runs the rest."""
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
        rollback,
        rollback_stopped_and_restarted,
        restart_from_task,
        retry_rules,
        branches,
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
