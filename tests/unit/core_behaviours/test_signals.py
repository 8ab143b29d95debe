"""Goal: what the outside sends reaches the first task that waits for it, once, and is never lost.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.model import Model
from talka_core.scheduler.state import SIGNALS_MAX
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols.commit import decode_commit
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import CancelExecution, Recipient, SignalExecution
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import INLINE_BYTES_MAX, Task, Workflow

PAID = {"name": "paid"}


def _begun(*tasks: Task) -> Model:
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", tasks)))
    model.deliver_all()
    return model


def _signal(model: Model, data: Any, signal_id: str, *, name: str = "paid", cut: int | None = None) -> None:
    message = SignalExecution("e", name, signal_id, Raw(msgspec.json.encode(data)))
    model.tell(Recipient.SCHEDULER, message, cut)


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _result(model: Model, task_id: str = "order") -> Any:
    record = _state(model).tasks[task_id]
    assert record.status is TaskStatus.SUCCEEDED, record.status
    return msgspec.json.decode(record.result)


def _refusals(model: Model) -> list[str]:
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    events = [event for commit in commits for _, _, event in commit.events()]
    return [event.code for event in events if isinstance(event, e.RequestRefused)]


def test_signal_ends_the_task_that_waits_for_its_name() -> None:
    """Its data is the task's result; a signal of another name is kept for others."""
    model = _begun(Task("order", "signal", payload=PAID))
    _signal(model, {"n": 1}, "s1", name="shipped")
    assert _state(model).tasks["order"].status is TaskStatus.WAITING
    _signal(model, {"n": 2}, "s2")
    assert _result(model) == {"n": 2}
    assert [signal.name for signal in _state(model).signals] == ["shipped"]
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_signals_nobody_waits_for_yet_are_kept_in_order() -> None:
    """The first task that waits gets the first signal, the next task the next, over a takeover too."""
    first, second = (Task(id_, "signal", payload=PAID) for id_ in ("first", "second"))
    pause = Task("pause", "wait", payload={"seconds": 5})
    second = msgspec.structs.replace(second, dependencies=("first",))
    first = msgspec.structs.replace(first, dependencies=("pause",))
    model = _begun(pause, first, second)
    _signal(model, 1, "s1")
    _signal(model, 2, "s2")
    model.crash(Recipient.SCHEDULER, "e")
    model.finish()
    assert (_result(model, "first"), _result(model, "second")) == (1, 2)
    assert _state(model).signals == []


def test_the_longest_waiting_task_is_served_first() -> None:
    """Of two tasks that wait for one name, the one that began earlier gets the signal."""
    early = Task("z", "signal", payload=PAID)
    late = Task("a", "signal", payload=PAID, dependencies=("pause",))
    model = _begun(early, late, Task("pause", "wait", payload={"seconds": 5}))
    model.fire(next(timer for timer in model.timers if timer[2].startswith("wait/")))
    _signal(model, 1, "s1")
    assert _result(model, "z") == 1
    assert _state(model).tasks["a"].status is TaskStatus.WAITING


def test_the_same_signal_counts_once() -> None:
    """A repetition by id is refused by an event and gives nothing to the next task."""
    model = _begun(
        Task("order", "signal", payload=PAID), Task("more", "signal", payload=PAID, dependencies=("order",))
    )
    _signal(model, 1, "s1")
    _signal(model, 1, "s1")
    assert _refusals(model) == ["signal_repeated"]
    assert _state(model).tasks["more"].status is TaskStatus.WAITING


def test_too_many_and_too_large_signals_are_refused() -> None:
    """What nobody takes is bounded in number and in size."""
    model = _begun(Task("order", "signal", payload=PAID))
    _signal(model, "x" * INLINE_BYTES_MAX, "large")
    for number in range(SIGNALS_MAX + 1):
        _signal(model, number, f"s{number}", name="other")
    assert _refusals(model) == ["signal_too_large", "too_many_signals"]
    assert len(_state(model).signals) == SIGNALS_MAX


def test_signal_to_an_execution_that_is_over_is_refused() -> None:
    """The refusal is an event, and nothing else changes; so it is while the execution is stopping."""
    model = _begun(Task("order", "signal", payload=PAID))
    model.tell(Recipient.SCHEDULER, CancelExecution("e"))
    _signal(model, 1, "s1")
    assert _refusals(model) == ["execution_over"]
    assert _state(model).status is ExecutionState.CANCELLED


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_signal_survives_a_commit_that_is_cut_short(cut: int, *, is_kept: bool) -> None:
    """Wherever the commit ends, the task gets the data once."""
    task = Task("order", "signal", payload=PAID, dependencies=("pause",) if is_kept else ())
    model = _begun(task, Task("pause", "wait", payload={"seconds": 5}))
    _signal(model, 7, "s1", cut=cut)
    model.finish()
    assert _result(model) == 7


@pytest.mark.parametrize(
    ("payload", "status"),
    [({"default": "none"}, TaskStatus.SUCCEEDED), ({}, TaskStatus.TIMED_OUT)],
)
def test_signal_that_does_not_come_in_time(payload: dict[str, Any], status: TaskStatus) -> None:
    """The default takes its place, or the task has timed out; what comes later is kept."""
    model = _begun(
        Task("order", "signal", payload={**PAID, "timeout_seconds": 9, **payload}),
        Task("pause", "wait", payload={"seconds": 99}),
    )
    model.fire(next(timer for timer in model.timers if "/order/" in timer[2]))
    record = _state(model).tasks["order"]
    assert record.status is status
    assert record.error is None or record.error.code == "wait_timeout"
    _signal(model, 1, "late")
    assert len(_state(model).signals) == 1


def test_name_may_be_derived_from_a_result() -> None:
    """An outside system is told the name by the task before, and answers under it."""
    model = _begun(
        Task("before", "signal", payload=PAID),
        Task("order", "signal", payload={"name": "order-${before.number}"}),
    )
    _signal(model, {"number": 17}, "s1")
    assert _state(model).tasks["order"].awaited == "order-17"
    _signal(model, "done", "s2", name="order-17")
    assert _result(model) == "done"


@pytest.mark.parametrize(
    ("payload", "place"),
    [({}, ()), ({"name": "a b"}, ("name",)), ({"name": "a", "timeout_seconds": 0}, ("timeout_seconds",))],
)
def test_bad_payload_is_refused_before_anything_is_stored(payload: Any, place: tuple[str, ...]) -> None:
    """The place leads into the payload."""
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("e", "e", (Task("order", "signal", payload=payload),)))
    assert refused.value.path == ("tasks", 0, "payload", *place)
