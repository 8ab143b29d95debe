"""Goal: what a dry run says of a rollback is what then happens.

Method: random graphs of every kind run into faults; the plan is made, the rollback asked for at the
same moment, and what was said is compared with what the log says was done.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.properties.acting import Acting, of_all_kinds

from talka_chaos.graphs import random_workflow
from talka_core.scheduler.plans import planned
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Recipient
from talka_protocols.policies import Then
from talka_protocols.results import RollbackPlan
from talka_protocols.states import TaskStatus

STOPS = (e.TaskCancelRequested, e.TaskCancelled, e.TaskWithdrawn, e.TaskUnwanted)


@pytest.mark.slow
@settings(deadline=None, max_examples=100, derandomize=True, phases=(Phase.generate,))
@given(st.integers(0, 10_000_000), st.integers(1, 8), st.integers(20, 400), st.sampled_from(Then))
def test_a_dry_run_says_what_happens(seed: int, size: int, before: int, then: Then) -> None:
    """What is stopped, undone, kept, run again, taken out and left standing is what the plan names."""
    random = Random(seed)
    model = Acting(random, check(of_all_kinds(random, random_workflow(random, "e", size))))
    for _ in range(before):
        model.happen()
    state = model.execution
    if state is None or not state.version:
        return
    to = random.randint(1, state.version)
    request = m.RollBackExecution("e", to=to, then=then, accepts_irreversible=True, request_id="one")
    plan = plan_of(state, request)
    first = state.version
    kept = {task_id: state.tasks[task_id].ended_version for task_id in getattr(plan, "kept", ())}
    model.tell(Recipient.SCHEDULER, request)
    happened = [event for version, event in events_of(model) if version > first]
    if isinstance(plan, RequestRefusedError):
        assert [event.code for event in happened if isinstance(event, e.RequestRefused)] == [plan.code]
        return
    model.go_back(0)
    check_plan(model, plan, then, first)
    assert {task_id: model.execution.tasks[task_id].ended_version for task_id in kept} == kept


def events_of(model: Acting) -> list[tuple[int, Any]]:
    """Return all events of the execution with their versions."""
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [(version, event) for commit in commits for version, _, event in commit.events()]


def plan_of(state: Any, request: m.RollBackExecution) -> RollbackPlan | RequestRefusedError:
    """Return what a dry run says: a plan, or why there is none."""
    try:
        return planned(state, request)
    except RequestRefusedError as refused:
        return refused


def check_plan(model: Acting, plan: RollbackPlan, then: Then, first: int) -> None:
    """Hold what happened after the event ``first`` to what was planned."""
    tasks = {*plan.again, *plan.removed}
    end = next(v for v, event in events_of(model) if v > first and isinstance(event, e.ExecutionRolledBack))
    happened = [event for version, event in events_of(model) if first < version <= end]
    began = happened[0]
    assert isinstance(began, e.RollbackStarted)
    assert (began.to, set(began.tasks)) == (plan.to, tasks)
    assert {event.task_id for event in happened if isinstance(event, STOPS)} & tasks == set(plan.cancelled)

    before, after = model.at(end - 1), model.at(end)
    added = [task.id for event in happened if isinstance(event, e.TasksAdded) for task in event.tasks]
    assert {before.tasks[name].status for name in added} <= {TaskStatus.SUCCEEDED}
    undone = [before.tasks[name].undoes for name in added]
    maps = {name for name in undone if before.index.tasks[name].map is not None}
    assert [name for name in undone if name not in maps] == list(plan.compensated)

    if then is Then.CONTINUE:
        assert after.tasks.keys().isdisjoint(plan.removed)
        items = {name for name in plan.again if before.index.maps.get(name) in plan.resumed}
        left = {*plan.again} - items
        assert {after.tasks[name].status for name in left} <= {TaskStatus.PENDING, TaskStatus.WAITING}
    else:
        assert {after.tasks[name].status for name in tasks} <= {TaskStatus.COMPENSATED, TaskStatus.CANCELLED}
    effects = {name.removeprefix("e/") for name in model.sink.effects.values() if name.startswith("e/")}
    stands = {name for name in effects & tasks if before.index.tasks[name].is_irreversible}
    assert stands <= set(plan.irreversible)
