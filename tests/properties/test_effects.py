"""Goal: after a rollback to any event, the effects left are those of the tasks that had succeeded by then.

Method: random graphs, with maps and sub-workflows, whose tasks act on a sink that honours key and fence; with
compensations, irreversible tasks, failures, lost workers whose attempts act late, reordered messages, and
decisions cut short. Some are forked in the end, and no effect of what a fork keeps is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.properties.acting import Acting, of_all_kinds, with_effects

from talka_chaos.graphs import random_workflow
from talka_core.scheduler.compensation import has_acted
from talka_core.scheduler.forking import origin_of
from talka_core.scheduler.names import effect_key
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Recipient
from talka_protocols.policies import Then
from talka_protocols.states import ACTIVE_TASK_STATUSES, FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

seeds = st.integers(0, 10_000_000)


def keys(state: Any, wanted: Callable[[str, Any], bool]) -> set[str]:
    """Return the keys of the effects of those tasks that act and are wanted."""
    tasks = state.index.tasks
    return {
        effect_key(state, task_id) or f"{state.execution_id}/{task_id}"
        for task_id, record in state.tasks.items()
        if not record.undoes
        and (tasks[task_id].map, tasks[task_id].workflow) == (None, None)
        and (tasks[task_id].compensation is not None or tasks[task_id].is_irreversible)
        and wanted(task_id, record)
    }


def keys_with_children(
    model: Acting, state: Any, wanted: Callable[[str, Any], bool], kept: Callable[[str], bool]
) -> set[str]:
    """Return the keys of an execution, and those of the sub-workflows of tasks that are ``kept``."""
    found = keys(state, wanted)
    for task_id in filter(kept, state.tasks):
        for child_id in state.tasks[task_id].children:
            child = model.players[Recipient.SCHEDULER, child_id].state
            found |= keys_with_children(model, child, wanted, _always) if child.workflow else set()
    return found


def _always(_task_id: str) -> bool:
    return True


def _succeeded(_task_id: str, record: Any) -> bool:
    return record.status is TaskStatus.SUCCEEDED


def _unclear(_task_id: str, record: Any) -> bool:
    """A task that failed for good after an attempt of it was lost: nobody knows what that one did."""
    return record.status is TaskStatus.FAILED and has_acted(record)


@settings(deadline=None, max_examples=150, derandomize=True, phases=(Phase.generate,))
@given(seeds, st.integers(1, 12), st.integers(5, 250), st.booleans())
def test_effects_after_a_rollback(seed: int, size: int, before: int, is_stopping: bool) -> None:
    """The effects left equal those of the tasks that had succeeded, plus those declared irreversible."""
    random = Random(seed)
    workflow = with_effects(random, random_workflow(random, "e", size))
    _go_back_and_on(random, workflow, before, is_stopping=is_stopping)


@settings(deadline=None, max_examples=150, derandomize=True, phases=(Phase.generate,))
@given(seeds, st.integers(1, 8), st.integers(5, 400), st.booleans())
def test_effects_after_a_rollback_of_all_kinds(seed: int, size: int, before: int, is_stopping: bool) -> None:
    """So it is with maps and sub-workflows; and a fork makes none of the effects that it keeps again."""
    random = Random(seed)
    workflow = check(of_all_kinds(random, random_workflow(random, "e", size)))
    model = _go_back_and_on(random, workflow, before, is_stopping=is_stopping)
    if model.execution is not None and model.execution.workflow is not None:
        _check_fork(model, random.randint(1, model.execution.version))


def _go_back_and_on(random: Random, workflow: Workflow, before: int, *, is_stopping: bool) -> Acting:
    model = Acting(random, workflow)
    for _ in range(before):
        model.happen()
    if model.execution is None or not model.execution.version:
        return model
    to = random.randint(1, model.execution.version)
    then = Then.STOP if is_stopping else Then.CONTINUE
    request = m.RollBackExecution("e", to=to, then=then, accepts_irreversible=True, request_id="one")
    cut = random.randrange(6) if random.random() < 0.3 else None
    model.tell(Recipient.SCHEDULER, request, cut=cut)
    model.tell(Recipient.SCHEDULER, request)
    if not model.execution.is_rolling_back:
        model.finish()
        return model
    going = model.execution.rollback
    model.go_back(random.randrange(300))
    _check_effects(model, to, frozenset(going.tasks))
    if not is_stopping:
        _check_allocations(model, to)
    model.finish()
    for ghost in model.ghosts:
        model.act(ghost)
    model.ghosts.clear()
    if is_stopping:
        _check_effects(model, to, frozenset(going.tasks))
    else:
        left, state = set(model.sink.effects), model.execution
        stands = _irreversible(model)
        unclear = keys_with_children(model, state, _unclear, _always)
        done = keys_with_children(model, state, _succeeded, _always)
        assert left - stands - unclear == done - stands
    return model


def _irreversible(model: Acting) -> set[str]:
    """Return the keys of all effects that cannot be undone, also of items that have left the graph."""
    tasks = {state.execution_id: state.index.tasks for state in model.executions}
    found: set[str] = set()
    for key, name in model.sink.effects.items():
        execution_id, task_id = name.split("/")
        if tasks[execution_id][task_id.partition("[")[0]].is_irreversible:
            found.add(key)
    return found


def _check_effects(model: Acting, to: int, tasks: frozenset[str]) -> None:
    then, left = model.at(to), set(model.sink.effects)

    def is_kept(task_id: str) -> bool:
        return task_id not in tasks and then.tasks[task_id].status in FINAL_TASK_STATUSES

    def may_stand(task_id: str, record: Any) -> bool:
        return task_id not in tasks and _unclear(task_id, record)

    wanted = keys_with_children(model, then, _succeeded, is_kept)
    stands = _irreversible(model)
    assert wanted <= left, f"gone: {wanted - left}"
    left -= keys_with_children(model, then, may_stand, is_kept)
    assert left - wanted <= stands, f"left: {left - wanted}"


def _check_fork(model: Acting, at: int) -> None:
    """What the fork keeps is not done again, and what the origin did stays."""
    origin, before = model.at(at), dict(model.sink.effects)
    try:
        kept = {adopted.task_id for adopted in origin_of(origin).tasks}
    except RequestRefusedError:
        return
    model.submit_fork("f", origin)
    model.finish()
    forked = model.players[Recipient.SCHEDULER, "f"].state
    new = {key: name for key, name in model.sink.effects.items() if key not in before}
    assert before.items() <= model.sink.effects.items()
    assert {name.removeprefix("f/") for name in new.values()}.isdisjoint(kept)
    assert kept.isdisjoint(run[2] for run in model.starts if run[1] == "f")
    done = keys_with_children(model, forked, _succeeded, lambda task_id: task_id not in kept)
    adopted = keys(forked, lambda task_id, _record: task_id in kept)
    unclear = keys_with_children(model, forked, _unclear, _always)
    assert set(new) - unclear == done - adopted


def _check_allocations(model: Acting, to: int) -> None:
    """What held something at the event asks for the same again, and the index says how much."""
    then, now = model.at(to), model.execution
    held = {t for t, r in then.tasks.items() if r.status in ACTIVE_TASK_STATUSES and not r.undoes}
    if now.status is not ExecutionState.RUNNING:
        return
    again = {t for t, r in now.tasks.items() if r.status in ACTIVE_TASK_STATUSES}
    assert held <= again, f"not asked for again: {held - again}"
    assert all(now.index.amounts[t] == then.index.amounts[t] for t in held)
