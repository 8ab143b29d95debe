"""Goal: a task adds tasks to its own graph while it runs; what cannot be added is refused by an event.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols.events import ExtensionRefused
from talka_protocols.messages import CancelExecution, ExtendPlan, Outcome, Recipient, RestartExecution
from talka_protocols.policies import Loop, MapOver
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, Extension, Task, Workflow, WorkflowConstraints

S = TaskStatus


def _task(id_: str, **options: Any) -> Task:
    return Task(id_, AGENT_TYPE, **options)


def _begun(*tasks: Task, cores: float = 8.0, **workflow: Any) -> Model:
    model = Model({"w1": cores})
    model.submit(Workflow("e", "e", tasks, **workflow))
    model.deliver_all()
    return model


def _end(model: Model, task_id: str, *tasks: Task, edges: tuple[tuple[str, str], ...] = ()) -> None:
    _return(model, task_id, *tasks, edges=edges)
    model.deliver_all()


def _return(model: Model, task_id: str, *tasks: Task, edges: tuple[tuple[str, str], ...] = ()) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    extension = Extension(tasks, tuple(Dependency(*edge) for edge in edges))
    model.end(run, Outcome.SUCCEEDED, Raw(msgspec.json.encode(task_id)), extension=extension)


def _until_asked(model: Model) -> None:
    while not any(to is Recipient.PLANNER for to, _ in model.soup):
        model.deliver(0)


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _statuses(model: Model) -> dict[str, TaskStatus]:
    return {task_id: record.status for task_id, record in _state(model).tasks.items()}


def _running(model: Model) -> list[str]:
    return sorted(run[2] for run in model.running)


def _refusals(model: Model) -> list[ExtensionRefused]:
    return [
        event
        for event in model.players[Recipient.SCHEDULER, "e"].events()
        if isinstance(event, ExtensionRefused)
    ]


PLAN = (_task("plan"), _task("report", dependencies=("plan",)))


def test_added_tasks_run_and_what_waits_for_them_waits() -> None:
    """Two steps are added in front of a task that was there: it starts after both."""
    model = _begun(*PLAN)
    steps = (_task("plan.a"), _task("plan.b", payload={"text": "${plan.a} of ${plan}"}))
    _end(model, "plan", *steps, edges=(("plan.b", "report"),))
    assert _statuses(model) == {
        "plan": S.SUCCEEDED,
        "report": S.PENDING,
        "plan.a": S.SCHEDULED,
        "plan.b": S.PENDING,
    }
    assert _running(model) == ["plan.a"]
    _end(model, "plan.a")
    assert _running(model) == ["plan.b"]
    _end(model, "plan.b")
    assert _running(model) == ["report"]
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_nothing_behind_the_task_starts_before_the_answer() -> None:
    """While the planner is asked the task waits, and the execution cannot be over."""
    model = _begun(_task("plan"))
    _return(model, "plan", _task("more"))
    _until_asked(model)
    assert _statuses(model) == {"plan": S.WAITING}
    assert _state(model).status is ExecutionState.RUNNING
    assert [type(message) for to, message in model.soup if to is Recipient.PLANNER] == [ExtendPlan]
    model.finish()
    assert set(_statuses(model)) == {"plan", "more"}


@pytest.mark.parametrize(
    ("tasks", "edges", "code", "part"),
    [
        ([_task("a", dependencies=("b",)), _task("b", dependencies=("a",))], (), "cycle", "a -> b -> a"),
        ([_task("a", dependencies=("end",))], (("a", "report"), ("report", "end")), "cycle", "cycle"),
        ([], (("busy", "plan"),), "task_has_started", "'plan' has started"),
        ([], (("plan", "busy"),), "task_has_started", "'busy' has started"),
        ([_task("report")], (), "duplicate_id", "has a task 'report' already"),
        ([_task("m[7]")], (), "duplicate_id", "m[7]"),
        ([_task("a"), _task("a")], (), "duplicate_id", "used twice"),
        ([_task("a", payload={"x": "${nobody.y}"})], (), "unknown_reference", "no task has the id 'nobody'"),
        ([_task("a", when="plan ==")], (), "bad_condition", "does not compile"),
        ([_task(f"a{i}") for i in range(20)], (), "too_many_tasks", "above its limit of 20"),
    ],
)
def test_what_cannot_be_added_is_refused_and_the_execution_goes_on(
    tasks: list[Task], edges: tuple[tuple[str, str], ...], code: str, part: str
) -> None:
    """The reason is an event, nothing of the extension is added, and the task has succeeded."""
    others = (_task("busy"), _task("end", dependencies=("report",)), _task("m", map=MapOver([])))
    model = _begun(*PLAN, *others, constraints=WorkflowConstraints(max_tasks=20))
    _end(model, "plan", *tasks, edges=edges)
    model.finish()
    (refused,) = _refusals(model)
    assert (refused.task_id, refused.code) == ("plan", code)
    assert part in refused.message
    assert set(_statuses(model)) == {"plan", "report", "busy", "end", "m"}
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_two_extensions_that_make_a_cycle_only_together() -> None:
    """Both were judged against the same graph; the second is judged again when it is to be added."""
    joined = (_task("x", dependencies=("p", "q")), _task("y", dependencies=("p", "q")))
    model = _begun(_task("p"), _task("q"), *joined)
    _return(model, "p", edges=(("x", "y"),))
    _return(model, "q", edges=(("y", "x"),))
    while any(to is not Recipient.PLANNER for to, _ in model.soup):
        model.deliver(next(i for i, (to, _) in enumerate(model.soup) if to is not Recipient.PLANNER))
    model.finish()
    (refused,) = _refusals(model)
    assert (refused.task_id, refused.code) == ("q", "cycle")
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_added_tasks_may_map_loop_and_add_tasks_themselves() -> None:
    """An added task is a task like all others."""
    model = _begun(_task("plan"))
    more = (_task("m", map=MapOver([1, 2])), _task("l", loop=Loop("iteration == 2")), _task("sub"))
    _end(model, "plan", *more)
    _end(model, "sub", _task("sub.sub", when="plan == 'plan'"))
    model.finish()
    assert {t for t, s in _statuses(model).items() if s is S.SUCCEEDED} == {
        *("plan", "m", "m[0]", "m[1]", "l", "sub", "sub.sub")
    }


def test_a_round_of_a_loop_adds_nothing() -> None:
    """Each round would add the same again: refused by an event, and the loop goes on."""
    model = _begun(_task("l", loop=Loop("iteration == 1")))
    _end(model, "l", _task("more"))
    model.finish()
    assert [refused.code for refused in _refusals(model)] == ["extension_in_loop"]
    assert _statuses(model) == {"l": S.SUCCEEDED}


def test_cancelling_drops_an_open_extension() -> None:
    """The late answer of the planner changes nothing."""
    model = _begun(*PLAN)
    _return(model, "plan", _task("more"))
    _until_asked(model)
    model.tell(Recipient.SCHEDULER, CancelExecution("e", ""))
    model.finish()
    assert _statuses(model) == {"plan": S.CANCELLED, "report": S.CANCELLED}


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize("step", [0, 1])
def test_extension_survives_a_crash_at_every_event(cut: int, step: int) -> None:
    """However much of the report's or of the answer's decision was stored, the next owner completes it."""
    model = _begun(*PLAN)
    chain = [_task(f"s{i}", dependencies=(f"s{i - 1}",) if i else ()) for i in range(101)]
    _return(model, "plan", *chain, edges=(("s100", "report"),))
    for _ in range(step):
        index = next(i for i, (to, _) in enumerate(model.soup) if to is Recipient.SCHEDULER)
        model.deliver(index)
        while not any(to is Recipient.SCHEDULER for to, _ in model.soup):
            model.deliver(0)
    index = next(i for i, (to, _) in enumerate(model.soup) if to is Recipient.SCHEDULER)
    model.deliver(index, cut=cut)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert len(_state(model).tasks) == 103
    assert _state(model).index.predecessors["report"] == ["plan", "s100"]


def test_planner_answers_a_repeated_question_from_its_record() -> None:
    """The scheduler asks until it knows, and is told the same."""
    model = _begun(*PLAN)
    _end(model, "plan", _task("more"))
    question = next(message for _, message in model.archive if isinstance(message, ExtendPlan))
    version = model.players[Recipient.PLANNER, "e"].state.version
    model.tell(Recipient.PLANNER, question)
    assert type(model.soup[-1][1]).__name__ == "AnswerExtension"
    assert model.players[Recipient.PLANNER, "e"].state.version == version
    model.finish()


def test_graph_that_is_too_large_to_be_checked_is_refused() -> None:
    """The question to the planner is bounded; the execution goes on."""
    many = tuple(_task(f"{i:0190d}", dependencies=("plan", "busy")) for i in range(1_500))
    model = _begun(_task("plan"), _task("busy"), *many, constraints=WorkflowConstraints(max_tasks=5_000))
    _end(model, "plan", _task("more"))
    (refused,) = _refusals(model)
    assert refused.code == "graph_too_large"
    assert _statuses(model)["plan"] is S.SUCCEEDED


def test_restart_takes_back_what_was_added_and_adds_it_anew() -> None:
    """A task that runs again finds the graph as it was before it had added anything."""
    model = _begun(*PLAN)
    _end(model, "plan", _task("more"), edges=(("more", "report"),))
    model.finish()
    model.tell(Recipient.SCHEDULER, RestartExecution("e", "plan"))
    model.deliver_all()
    assert _statuses(model) == {"plan": S.SCHEDULED, "report": S.PENDING}
    _end(model, "plan", _task("more"), edges=(("more", "report"),))
    assert _running(model) == ["more"]
    model.finish()
    assert _refusals(model) == []
    assert _state(model).status is ExecutionState.SUCCEEDED
