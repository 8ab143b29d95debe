"""Planted bugs that only tasks which give trouble show: starts, silence, force and poison."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from talka_core import retry
from talka_core.behaviour import Effect, Send
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_core.worker import WorkerRecord
from talka_protocols.events import TaskFailure
from talka_protocols.messages import CancelTask
from talka_protocols.policies import RetryPolicy
from talka_protocols.states import TaskStatus
from talka_services.service.heartbeat import Heartbeat

attempts = import_module("talka_core.scheduler.attempts")
clock = import_module("talka_core.scheduler.clock")
letters = import_module("talka_core.scheduler.letters")
memory = import_module("talka_core.worker.state")


def sent_attempt_never_late() -> AbstractContextManager[Any]:
    """The time to start is over as soon as a task has its resources."""
    real = clock.start_due_at

    def start_due_at(state: ExecutionRecord, task_id: str) -> int:
        is_sent = state.tasks[task_id].status is TaskStatus.SCHEDULED
        return 0 if is_sent else int(real(state, task_id))

    stack = ExitStack()
    for module in (letters, attempts):
        stack.enter_context(patch.object(module, "start_due_at", start_due_at))
    return stack


def withdrawal_forgotten() -> AbstractContextManager[Any]:
    """A worker that says that it will never start an attempt does not remember that."""
    real = memory._report  # noqa: SLF001

    def report(state: WorkerRecord, said: Any) -> None:
        key = (said.execution_id, said.task_id)
        before = state.seen.get(key, 0)
        real(state, said)
        if not said.started_at:
            state.seen[key] = before

    return patch.object(memory, "_report", report)


def error_rules_ignored() -> AbstractContextManager[Any]:
    """Every error is worth another attempt, whatever the task says of it."""

    def may_retry(_policy: RetryPolicy, _failure: TaskFailure) -> bool:
        return True

    return patch.object(retry, "may_retry", may_retry)


def pauses_do_not_grow() -> AbstractContextManager[Any]:
    """Each pause between two attempts is as long as the first."""
    real = retry.delay_ms

    def delay_ms(execution_id: str, task_id: str, _failures: int, policy: RetryPolicy) -> int:
        return real(execution_id, task_id, 1, policy)

    return patch.object(retry, "delay_ms", delay_ms)


def force_forgotten() -> AbstractContextManager[Any]:
    """Workers are asked to stop attempts that they were to kill."""
    real = letters.cancel

    def cancel(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
        effect: Send = real(state, task_id, record)
        message = effect.message
        if isinstance(message, CancelTask):
            return replace(effect, message=replace(message, is_forced=False))
        return effect

    return patch.object(letters, "cancel", cancel)


def poison_never_parked() -> AbstractContextManager[Any]:
    """A task may take workers with it for ever."""
    return patch.object(attempts, "LOST_MAX", 10**9)


def silence_ignored() -> AbstractContextManager[Any]:
    """Nobody watches whether an attempt shows that it lives."""

    def watch(_self: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    return patch.object(Heartbeat, "watch", watch)


def outage_taken_for_silence() -> AbstractContextManager[Any]:
    """What waits to be recorded is no sign of life."""

    @contextmanager
    def recording(self: Any) -> Generator[None]:
        self.beat()
        yield
        self.beat()

    return patch.object(Heartbeat, "recording", recording)


TROUBLE_MUTANTS = (
    error_rules_ignored,
    pauses_do_not_grow,
    sent_attempt_never_late,
    withdrawal_forgotten,
    force_forgotten,
    poison_never_parked,
    silence_ignored,
    outage_taken_for_silence,
)
