"""Goal: a map runs once for each item, in its own bounds, and ends with the results in order.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import TaskFailure
from talka_protocols.messages import CancelExecution, Outcome, Recipient, SignalExecution, StartTask
from talka_protocols.policies import Join, MapOver, OnFailure
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck, Task, Workflow, WorkflowConfig, WorkflowConstraints

S = TaskStatus


def _map(over: Any = "${split}", rule: dict[str, Any] | None = None, **options: Any) -> Task:
    return Task("m", AGENT_TYPE, map=MapOver(over, **(rule or {})), **options)


def _begun(*tasks: Task, cores: float = 8.0, **workflow: Any) -> Model:
    model = Model({"w1": cores})
    model.submit(Workflow("e", "e", tasks, **workflow))
    model.deliver_all()
    return model


def _end(
    model: Model, task_id: str, result: Any = None, outcome: Outcome = Outcome.SUCCEEDED, **more: Any
) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(msgspec.json.encode(result)), **more)
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _statuses(model: Model) -> dict[str, TaskStatus]:
    return {task_id: record.status for task_id, record in _state(model).tasks.items()}


def _running(model: Model) -> list[str]:
    return sorted(run[2] for run in model.running)


def _result(model: Model) -> Any:
    return msgspec.json.decode(_state(model).tasks["m"].result)


def test_items_run_side_by_side_and_their_results_come_in_order() -> None:
    """The list is the result of another task; the last item to end is not the last result."""
    model = _begun(Task("split", AGENT_TYPE), _map(), Task("sum", AGENT_TYPE, payload={"all": "${m}"}))
    _end(model, "split", ["a", "b", "c"])
    assert _running(model) == ["m[0]", "m[1]", "m[2]"]
    assert _statuses(model)["m"] is S.WAITING
    for index in (2, 0, 1):
        _end(model, f"m[{index}]", index * 10)
    assert _result(model) == [0, 10, 20]
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_items_are_data_and_other_references_stay() -> None:
    """What looks like a reference inside an item is text; the map's own references are still replaced."""
    payload = {
        "whole": "${item}",
        "text": "n ${item.n} at ${index}",
        "other": "${split.0.n}",
        "kept": "$${x}",
    }
    model = _begun(Task("split", AGENT_TYPE), _map(payload=payload))
    _end(model, "split", [{"n": 7, "t": "${split}"}])
    start = [message for _, message in model.archive if isinstance(message, StartTask)][-1]
    assert start.task.id == "m[0]"
    assert start.task.payload == {
        "whole": {"n": 7, "t": "$${split}"},
        "text": "n 7 at 0",
        "other": "${split.0.n}",
        "kept": "$${x}",
    }
    assert list(start.inputs) == ["split.0.n"]


def test_empty_list_succeeds_at_once() -> None:
    """Nothing to do is done, and what needs the map goes on."""
    model = _begun(_map([]), Task("after", AGENT_TYPE, dependencies=("m",)))
    assert _result(model) == []
    assert _running(model) == ["after"]
    model.finish()


def test_no_more_items_than_allowed_run_at_once() -> None:
    """With two at once the third becomes a task when one has ended, whichever that is."""
    model = _begun(_map([1, 2, 3, 4], {"max_parallel": 2}))
    assert _running(model) == ["m[0]", "m[1]"]
    _end(model, "m[1]")
    assert _running(model) == ["m[0]", "m[2]"]
    model.finish()
    assert len(_result(model)) == 4


def test_tolerated_failures_are_null_in_the_result() -> None:
    """One of three may fail: the map succeeds, and the execution is partial."""
    model = _begun(_map([1, 2, 3], {"tolerated_failures": 1}))
    _end(model, "m[0]", "x")
    _end(model, "m[1]", outcome=Outcome.FAILED)
    _end(model, "m[2]", "z")
    assert _result(model) == ["x", None, "z"]
    model.finish()
    assert _state(model).status is ExecutionState.PARTIAL


def test_one_failure_too_many_cancels_the_rest() -> None:
    """What runs is stopped, what waits never starts, and the map fails when nothing runs any more."""
    model = _begun(_map([1, 2, 3, 4], {"max_parallel": 3}), Task("after", AGENT_TYPE, dependencies=("m",)))
    error = TaskFailure("exception", "no such bed")
    _end(model, "m[1]", outcome=Outcome.FAILED, error=error)
    assert _statuses(model)["m"] is S.WAITING
    model.finish()
    assert _statuses(model) == {
        "m": S.FAILED,
        "after": S.SKIPPED,
        "m[0]": S.CANCELLED,
        "m[1]": S.FAILED,
        "m[2]": S.CANCELLED,
    }
    failure = _state(model).tasks["m"].error
    assert failure.code == "map_failed"
    assert failure.message == "1 of 4 items failed, and 0 may. m[1]: no such bed"
    assert _state(model).status is ExecutionState.FAILED


def test_the_items_of_a_map_count_as_one_failure() -> None:
    """An execution that tolerates one failed task tolerates one failed map."""
    model = _begun(_map([1, 2]), Task("other", AGENT_TYPE), config=WorkflowConfig(tolerated_failures=1))
    _end(model, "m[0]", outcome=Outcome.FAILED)
    model.finish()
    assert _state(model).status is ExecutionState.PARTIAL


def test_retries_are_the_items_own() -> None:
    """A failed item is tried again while the others go on."""
    model = _begun(_map([1, 2], retries=1))
    _end(model, "m[0]", outcome=Outcome.FAILED)
    assert _statuses(model)["m[0]"] is S.RETRYING
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_continued_map_counts_as_succeeded() -> None:
    """``on_failure: continue`` is about the map and not about its items."""
    model = _begun(_map([1], on_failure=OnFailure.CONTINUE), Task("after", AGENT_TYPE, dependencies=("m",)))
    _end(model, "m[0]", outcome=Outcome.FAILED)
    model.finish()
    assert _statuses(model)["after"] is S.SUCCEEDED
    assert _state(model).status is ExecutionState.PARTIAL


@pytest.mark.parametrize(
    ("given", "rule", "code", "part"),
    [
        ({"a": 1}, {}, "map_not_a_list", "of type dict and no list"),
        (None, {}, "map_not_a_list", "NoneType"),
        ([1, 2, 3], {"max_items": 2}, "map_too_many", "3 items, and max_items is 2"),
        (list(range(20)), {}, "map_too_many", "max_tasks leaves 18"),
    ],
)
def test_what_cannot_be_mapped_over_fails_the_task(
    given: Any, rule: dict[str, Any], code: str, part: str
) -> None:
    """No list, or too long a list for the map or the execution, is a clear failure."""
    model = _begun(Task("split", AGENT_TYPE), _map(rule=rule), constraints=WorkflowConstraints(max_tasks=20))
    _end(model, "split", given)
    error = _state(model).tasks["m"].error
    assert error.code == code
    assert part in error.message
    model.finish()


def test_item_without_the_field_that_is_used_fails_the_map() -> None:
    """Nothing has started when an item turns out not to fit."""
    model = _begun(_map([{"n": 1}, {}], payload={"n": "${item.n}"}))
    error = _state(model).tasks["m"].error
    assert error.code == "unresolved_reference"
    assert "Item 1 of task 'm'" in error.message
    assert _running(model) == []


def test_list_that_was_too_large_to_report_is_a_clear_failure() -> None:
    """The scheduler never opens stored objects."""
    model = _begun(Task("split", AGENT_TYPE), _map())
    _end(model, "split", claim=ClaimCheck("blob", 10**6, "0" * 64))
    assert "too large" in _state(model).tasks["m"].error.message


def test_results_that_are_too_large_together_are_named() -> None:
    """Each part is then the task that has it and its size."""
    model = _begun(_map([1, 2]))
    _end(model, "m[0]", "x" * 40_000)
    _end(model, "m[1]", "y" * 40_000)
    assert _result(model) == [{"task": "m[0]", "bytes": 40_002}, {"task": "m[1]", "bytes": 40_002}]


def test_cancelling_stops_the_map_and_its_items() -> None:
    """Nothing of it is left behind."""
    model = _begun(_map([1, 2, 3], {"max_parallel": 1}))
    model.tell(Recipient.SCHEDULER, CancelExecution("e", ""))
    model.finish()
    assert _statuses(model) == {"m": S.CANCELLED, "m[0]": S.CANCELLED}
    assert _state(model).status is ExecutionState.CANCELLED


def test_losing_map_takes_its_items_along() -> None:
    """A map that lost against the first success is cancelled with its items, and that is no fault."""
    first = Task("end", AGENT_TYPE, dependencies=("m", "quick"), join=Join.FIRST)
    model = _begun(_map([1, 2]), Task("quick", AGENT_TYPE), first)
    _end(model, "quick")
    model.finish()
    assert _statuses(model)["m[1]"] is S.CANCELLED
    assert _state(model).status is ExecutionState.SUCCEEDED


@pytest.mark.parametrize("cut", range(1, 12))
def test_map_survives_a_crash_at_every_event(cut: int) -> None:
    """However much of the decision that began the map was stored, the next owner completes it."""
    model = _begun(Task("split", AGENT_TYPE), _map(rule={"max_parallel": 3}), cores=2.0)
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, Raw(b"[1, 2, 3, 4, 5]"))
    index = next(i for i, (to, _) in enumerate(model.soup) if to is Recipient.SCHEDULER)
    model.deliver(index, cut=cut)
    model.finish()
    assert len(_result(model)) == 5
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_three_hundred_items_are_added_in_facts_of_bounded_size() -> None:
    """Each addition stands alone and holds a hundred tasks at the most."""
    model = _begun(_map(list(range(300))))
    assert [len(addition.tasks) for addition in _state(model).added] == [100, 100, 100]


@pytest.mark.parametrize(
    ("rule", "code", "field"),
    [
        (MapOver("${m}"), "self_dependency", "over"),
        (MapOver("${x.parts}"), "unknown_reference", "over"),
        (MapOver("a, b"), "map_not_a_list", "over"),
        (MapOver("${a} ${b}"), "unknown_reference", "over"),
        (MapOver({"a": 1}), "map_not_a_list", "over"),
        (MapOver([1] * 2_000), "map_too_many", "over"),
        (MapOver([1], max_items=0), "bad_number", "max_items"),
        (MapOver([1], max_parallel=0), "bad_number", "max_parallel"),
        (MapOver([1], tolerated_failures=-1), "bad_number", "tolerated_failures"),
    ],
)
def test_maps_are_checked_before_anything_runs(rule: MapOver, code: str, field: str) -> None:
    """The place in the definition is told."""
    with pytest.raises(WorkflowInvalidError) as caught:
        check(Workflow("w", "w", (Task("m", AGENT_TYPE, map=rule),)))
    assert (caught.value.code, caught.value.path) == (code, ("tasks", 0, "map", field))


def test_ids_of_items_cannot_be_taken() -> None:
    """A declared task may not have the id that an item gets."""
    with pytest.raises(WorkflowInvalidError, match="an item of the map 'm' gets") as caught:
        check(Workflow("w", "w", (Task("m", AGENT_TYPE, map=MapOver([1])), Task("m[0]", AGENT_TYPE))))
    assert caught.value.code == "duplicate_id"


def test_mapping_over_a_result_is_a_dependency() -> None:
    """``over`` is looked at like a payload; ``item`` and ``index`` are no tasks there."""
    tasks = (Task("split", AGENT_TYPE), _map("${split.parts}", payload={"x": "${item} ${index}"}))
    assert [edge.from_task for edge in check(Workflow("w", "w", tasks)).dependencies] == ["split"]


def test_map_of_one_item_behind_a_wait_is_begun() -> None:
    """What comes for one task ends it and adds another, which is as many as before and has to start."""
    model = Model({"w1": 8.0})
    first = Task("first", "signal", payload={"name": "go"})
    one = Task("one", AGENT_TYPE, map=MapOver([1]), dependencies=("first",))
    model.submit(check(Workflow("e", "e", (first, one))))
    while model.soup:
        model.deliver(0)
    model.tell(Recipient.SCHEDULER, SignalExecution("e", "go", "s1"))
    while model.soup:
        model.deliver(0)
    assert [run[2] for run in model.running] == ["one[0]"]
