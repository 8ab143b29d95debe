"""Facts about what tasks wait for, and what comes for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from talka_core.scheduler.evolve.execution import hear
from talka_core.scheduler.state import SIGNAL_IDS_MAX, ExecutionRecord, Signal
from talka_protocols import events as e


def _received(state: ExecutionRecord, event: e.SignalReceived, _at: int) -> None:
    state.signals.append(Signal(event.name, event.signal_id, event.data.copy()))
    state.signal_ids[event.signal_id] = None
    if len(state.signal_ids) > SIGNAL_IDS_MAX:
        del state.signal_ids[next(iter(state.signal_ids))]


def _taken(state: ExecutionRecord, event: e.SignalTaken, _at: int) -> None:
    record = state.tasks[event.task_id]
    for signal in [signal for signal in state.signals if signal.signal_id == event.signal_id]:
        state.signals.remove(signal)
        record.answer, record.is_answered = signal.data, True


def _answered(state: ExecutionRecord, event: e.ApprovalAnswered, _at: int) -> None:
    hear(state, event.request_id)
    record = state.tasks[event.task_id]
    answer = {
        "choice": event.choice,
        "by": event.by,
        "comment": event.comment,
        "is_default": event.is_default,
    }
    record.answer, record.is_answered = Raw(msgspec.json.encode(answer)), True


def _child_started(state: ExecutionRecord, event: e.ChildStarted, _at: int) -> None:
    state.tasks[event.task_id].is_child_started = True


def _parent_informed(state: ExecutionRecord, _event: e.ParentInformed, _at: int) -> None:
    state.is_parent_informed = True


HANDLERS: dict[type, Callable[[ExecutionRecord, Any, int], None]] = {
    e.SignalReceived: _received,
    e.SignalTaken: _taken,
    e.ApprovalAnswered: _answered,
    e.ChildStarted: _child_started,
    e.ParentInformed: _parent_informed,
}
