"""Planted bugs of the worker and of its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from talka_chaos.mutants.planting import behaving
from talka_chaos.workers import WorkerLife, WorkerProcess
from talka_core.behaviour import Send
from talka_core.worker import WorkerRecord
from talka_protocols.messages import AttemptEnded, AttemptFinished, Recipient, StartTask
from talka_services.service.launcher import Launcher

decide = import_module("talka_core.worker.decide")
effects = import_module("talka_core.worker.effects")
memory = import_module("talka_core.worker.state")


def stale_start_accepted() -> AbstractContextManager[Any]:
    """A worker runs what was granted on an earlier incarnation of it."""
    real = decide._start  # noqa: SLF001

    def start(state: WorkerRecord, message: StartTask, now_ms: int) -> Iterator[Any]:
        yield from real(state, replace(message, incarnation=state.incarnation), now_ms)

    return patch.object(decide, "_start", start)


def attempts_forgotten() -> AbstractContextManager[Any]:
    """A worker does not remember which attempts it had, nor does its launcher."""

    def see(_state: Any, _key: Any, _attempt: int) -> None:
        """Forget it at once."""

    def report(self: Any, report: AttemptFinished) -> None:
        self._tell(AttemptEnded(self._worker_id, report))

    stack = ExitStack()
    stack.enter_context(patch.object(memory, "_see", see))
    stack.enter_context(patch.object(Launcher, "_report", report))
    return stack


def reports_sent_once() -> AbstractContextManager[Any]:
    """A worker takes a report for settled as soon as it is sent."""
    real = effects.resume

    def resume(state: WorkerRecord) -> Iterator[Any]:
        for effect in real(state):
            if not (isinstance(effect, Send) and isinstance(effect.message, AttemptFinished)):
                yield effect

    return behaving(Recipient.WORKER, resume=resume)


def cut_off_ignored() -> AbstractContextManager[Any]:
    """A worker that the pool does not hear goes on using pool-wide amounts."""

    def contact_changed(_self: Any, is_lost: bool) -> None:
        """Go on."""

    return patch.object(WorkerLife, "_contact_changed", contact_changed)


def early_stop_unreported() -> AbstractContextManager[Any]:
    """An attempt that is stopped before its first step is never reported."""

    def never_began(_self: Any, _key: Any, _task: Any) -> None:
        """Say nothing."""

    return patch.object(Launcher, "_never_began", never_began)


def witness_speaks_too_early() -> AbstractContextManager[Any]:
    """A witness takes a worker that begins to die for one of which nothing is left."""
    real = WorkerProcess.crash

    def crash(self: WorkerProcess) -> None:
        self.witness.see_the_end()
        real(self)

    return patch.object(WorkerProcess, "crash", crash)


WORKER_MUTANTS = (
    witness_speaks_too_early,
    stale_start_accepted,
    attempts_forgotten,
    reports_sent_once,
    cut_off_ignored,
    early_stop_unreported,
)
