"""Goal: another order that changes the rank of one member of a gang asks anew for all of it.

The pool may grant the gang before it hears of that, and what is asked for under a name
that was granted already waits for ever.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.history import FOLDS, advance
from talka_core.scheduler.dispatch import dispatch
from talka_core.scheduler.reprioritizing import withdraw_stale
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.messages import Recipient
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import ResourceRequirements, Task, Workflow

CORE = ResourceRequirements(cpu_cores=1.0)
AT_MS = 1_700_000_000_000


@pytest.fixture
def state() -> Any:
    """Return an execution whose gang of three waits for the pool, at an old rank for the first of it."""
    model = Model({"w1": 1.0})
    model.submit(Workflow("e", "e", tuple(Task(n, AGENT_TYPE, resources=CORE, gang="g") for n in "abc"), ()))
    model.deliver_all()
    model.ask(m.ReprioritizeExecution("e", "q", strategy="priority", priority=90))
    model.deliver_all()
    state = model.players[Recipient.SCHEDULER, "e"].state
    assert {record.status for record in state.tasks.values()} == {TaskStatus.QUEUED}
    assert list(withdraw_stale(state)) == []
    state.tasks["a"].rank = (0.0, 0.0, 0.0)
    return state


def _take(state: Any, event: Any) -> None:
    advance(FOLDS[EXECUTION], state, state.version + 1, event, AT_MS)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_the_whole_gang_is_taken_back_and_asked_for_under_a_new_name(state: Any, kept: int) -> None:
    """Wherever the decision is cut short: whoever goes on takes back the rest of it before it asks."""
    before = state.tasks["b"].gang
    for event in list(withdraw_stale(state))[:kept]:
        _take(state, event)
    rest = list(withdraw_stale(state))
    assert rest == [e.TaskWithdrawn(task_id, 2) for task_id in ["b", "c", "a"][kept:]]
    for event in rest:
        _take(state, event)
    asked: list[e.TaskQueued] = []
    for event in dispatch(state, AT_MS):
        assert isinstance(event, e.TaskQueued)
        asked.append(event)
        _take(state, event)
    assert {event.task_id for event in asked} == {"a", "b", "c"}
    assert {event.members for event in asked} == {3}
    (name,) = {event.gang for event in asked}
    assert name != before
