"""Goal: a task and its sub-workflow agree on how that ended, whatever is lost, repeated or cut short.

Method: seeded workflows of workflows run through the closed model under seeded misfortunes; after every
event the model holds the behaviours to their laws, the resume law B1 among them.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_chaos.graphs import random_workflow, with_children
from talka_chaos.model import Model
from talka_chaos.outside import arrivals, with_arrivals
from talka_core.scheduler import children
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

GOOD = (ExecutionState.SUCCEEDED, ExecutionState.PARTIAL)
STEPS = 150


def _misfortune(random: Random, model: Model, from_outside: list[m.Message]) -> None:
    """Let one thing happen, good or bad."""
    at = random.randrange(10_000)
    match random.randrange(12):
        case 0 | 1 | 2 if model.soup:
            model.deliver(0)
        case 3 if model.soup:
            model.deliver(at % len(model.soup), is_kept=random.random() < 0.5)
        case 4 if model.soup:
            model.deliver(at % len(model.soup), cut=random.randrange(6))
        case 5 if model.soup:
            model.drop(at % len(model.soup))
        case 6 if model.archive:
            model.tell(*model.archive[at % len(model.archive)])
        case 7 if model.running:
            outcome = random.choice((Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED))
            model.end(list(model.running)[at % len(model.running)], outcome)
        case 8:
            model.resume(*list(model.players)[at % len(model.players)])
        case 9:
            model.crash(*list(model.players)[at % len(model.players)])
        case 10 if model.timers:
            model.fire(sorted(model.timers)[at % len(model.timers)])
        case 11 if from_outside:
            model.tell(Recipient.SCHEDULER, random.choice(from_outside), random.choice((None, None, 1, 2)))
        case _:
            pass


def _check_children(model: Model) -> None:
    states = {state.execution_id: state for state in model.executions}
    for child in states.values():
        if child.parent is not None:
            task = states[child.parent.execution_id].tasks[child.parent.task_id]
            if task.attempt == child.parent.attempt:
                assert (child.status in GOOD) == (task.status is TaskStatus.SUCCEEDED)
                assert child.status not in GOOD or bytes(task.result) == bytes(children.report(child).result)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=st.integers(0, 1_000_000), size=st.integers(1, 8), is_cancelled=st.booleans())
def test_parent_and_child_agree(*, seed: int, size: int, is_cancelled: bool) -> None:
    """Everything comes to rest, and each task has the results of the sub-workflow that it ran."""
    random = Random(seed)
    drawn = with_arrivals(random, random_workflow(random, "e", size))
    workflow: Workflow = check(with_children(random, drawn))
    from_outside = [message for _, message in arrivals(random, workflow, 0.0, 0.0)]
    model = Model({"w1": 2.0, "w2": 3.3})
    model.submit(workflow)
    for _ in range(STEPS):
        _misfortune(random, model, from_outside)
    if is_cancelled:
        model.tell(Recipient.SCHEDULER, m.CancelExecution("e", "drawn"))
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("e", workflow))
    model.finish(outside=from_outside)
    _check_children(model)
