"""Goal: a running execution goes by a schedule that still fits it, and by no other.

Method: four tasks on one core run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.behaviour import Improve
from talka_core.planner import PLANNER
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.baseline import Baseline
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow, WorkflowConfig

CORE = ResourceRequirements(cpu_cores=1.0)
NAMES = ("a", "b", "c", "d")
BACKWARDS = Baseline((4.0, 1.0, 2.0, 3.0), ((0, 3), (3, 2), (2, 1)), 4.0)


def workflow(strategy: Strategy = Strategy.RESOURCE_OPTIMIZED) -> Workflow:
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE) for id_ in NAMES)
    return Workflow("e", "e", tasks, (), WorkflowConfig(strategy=strategy))


def begun(strategy: Strategy = Strategy.RESOURCE_OPTIMIZED) -> Model:
    model = Model({"w1": 1.0})
    model.submit(workflow(strategy))
    model.deliver_all()
    return model


def propose(model: Model, baseline: Baseline, version: int = 0, request_id: str = "one") -> None:
    model.ask(m.ProposeBaseline("e", request_id, version, baseline))
    model.deliver_all()


def events_of(model: Model, kind: type) -> list[Any]:
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [event for commit in commits for _, _, event in commit.events() if isinstance(event, kind)]


def end_next(model: Model, outcome: Outcome = Outcome.SUCCEEDED) -> str:
    run = next(iter(model.running))
    if not model.running[run]:
        model.begin(run)
    model.end(run, outcome)
    model.deliver_all()
    return run[2]


def test_what_waits_goes_by_the_schedule_that_was_adopted() -> None:
    """The first runs already; the others follow from behind, and are asked for one after the other."""
    model = begun()
    state = model.players[Recipient.SCHEDULER, "e"].state
    propose(model, BACKWARDS)
    adopted = events_of(model, e.BaselineAdopted)
    assert [(event.request_id, event.plan_version) for event in adopted] == [("one", 0)]
    assert (state.plan_version, state.is_off_baseline, state.baseline) == (1, False, BACKWARDS)
    assert [end_next(model) for _ in NAMES] == ["a", "d", "c", "b"]
    model.finish()
    assert state.status is ExecutionState.SUCCEEDED


def test_a_proposal_is_heard_once() -> None:
    """Sent again it does nothing, though by then it would be stale."""
    model = begun()
    propose(model, BACKWARDS)
    propose(model, BACKWARDS)
    assert len(events_of(model, e.BaselineAdopted)) == 1
    assert not events_of(model, e.RequestRefused)


@pytest.mark.parametrize(
    ("baseline", "version", "code", "said"),
    [
        (BACKWARDS, 1, "stale_baseline", "made for version 1 of the plan, which is 0 now"),
        (Baseline((1.0, 4.0, 3.0, 2.0), ((1, 0),)), 0, "stale_baseline", "Task a has begun before"),
        (Baseline((1.0,)), 0, "bad_baseline", "has 1 tasks, the workflow 4"),
        (Baseline((1.0, 1.0, 1.0, 1.0), ((1, 2), (2, 1))), 0, "bad_baseline", "cycle"),
    ],
)
def test_what_does_not_fit_is_refused(baseline: Baseline, version: int, code: str, said: str) -> None:
    model = begun()
    propose(model, baseline, version)
    (refused,) = events_of(model, e.RequestRefused)
    assert (refused.request, refused.code, refused.request_id) == ("propose_baseline", code, "one")
    assert said in refused.message
    assert not events_of(model, e.BaselineAdopted)


def test_another_strategy_follows_no_schedule() -> None:
    model = begun(Strategy.BREADTH_FIRST)
    propose(model, BACKWARDS)
    assert [event.code for event in events_of(model, e.RequestRefused)] == ["bad_baseline"]


def test_what_no_plan_knew_makes_a_proposal_stale_and_a_newer_one_leads_back() -> None:
    """A pause takes the execution off its schedule; one that was made afterwards holds."""
    model = begun()
    state = model.players[Recipient.SCHEDULER, "e"].state
    propose(model, BACKWARDS)
    model.ask(m.PauseExecution("e", "lunch"))
    model.ask(m.ResumeExecution("e", "back"))
    model.deliver_all()
    assert (state.plan_version, state.is_off_baseline) == (2, True)
    propose(model, BACKWARDS, 1, "early")
    assert [event.code for event in events_of(model, e.RequestRefused)] == ["stale_baseline"]
    propose(model, BACKWARDS, 2, "late")
    assert (state.plan_version, state.is_off_baseline) == (3, False)
    model.finish()


def test_an_execution_that_is_over_adopts_nothing() -> None:
    model = begun()
    model.finish()
    propose(model, BACKWARDS)
    assert [event.code for event in events_of(model, e.RequestRefused)] == ["not_running"]


def test_a_search_begins_once_the_plan_is_handed_over_and_is_not_owed() -> None:
    """Whoever takes over from a planner that died does not search again."""
    model = Model({"w1": 1.0})
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("e", workflow(), improve_s=2.5))
    model.deliver_all()
    assert model.searches == [Improve("e", 2.5)]
    assert not list(PLANNER.resume(model.players[Recipient.PLANNER, "e"].state))
    model.finish()


def test_a_time_to_search_must_be_one() -> None:
    model = Model({"w1": 1.0})
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("e", workflow(), improve_s=float("inf")))
    model.deliver_all()
    assert model.players[Recipient.PLANNER, "e"].state.refusal.code == "bad_improvement"
