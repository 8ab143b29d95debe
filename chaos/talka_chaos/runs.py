"""What truly ran in a world, whatever the logs say of it, and what no log may say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from talka_core.resource.state import Amounts, thousandths
from talka_protocols import events as e
from talka_protocols.ports import Attempt

Run = tuple[str, str, int]
"""Execution, task, attempt."""


OVER = (
    e.TaskSucceeded,
    e.TaskFailed,
    e.TaskTimedOut,
    e.TaskRetrying,
    e.TaskAttemptLost,
    e.TaskFellBack,
    e.TaskParked,
    e.TaskCancelled,
)
"""What an execution's log says of an attempt that has ended."""


class Use(Struct, frozen=True):
    """What an attempt takes up while anything of it runs: of its worker, and of the pool as a whole."""

    run: Run
    worker_id: str
    own: Amounts
    shared: Amounts


class Runs:
    """Every attempt that an executor was given: W1 once; W2 within its worker; W3 within the pool.

    And K2 within the limit of its key.

    ``shared`` is what the pool has as a whole; ``begun`` are all attempts that ever did.
    """

    def __init__(self, shared: Mapping[str, float]) -> None:
        self.faults: list[str] = []
        self._shared = thousandths(dict(shared))
        self._used: dict[str, Counter[str]] = {}
        self._shared_used: Counter[str] = Counter()
        self.begun: set[Run] = set()
        self._running: set[Run] = set()
        self._keys: dict[Run, str] = {}

    def begin(self, attempt: Attempt, capacity: Amounts) -> Use:
        """Count what an attempt takes up from now on, on a worker that offers ``capacity``."""
        run = (attempt.execution_id, attempt.task.id, attempt.attempt)
        if run in self.begun:
            self.faults.append(f"W1 {run} ran twice, the second time on {attempt.worker_id}")
        self.begun.add(run)
        amounts = thousandths(attempt.task.resources.amounts())
        self._running.add(run)
        use = Use(
            run,
            attempt.worker_id,
            {name: amount for name, amount in amounts.items() if name not in self._shared},
            {name: amount for name, amount in amounts.items() if name in self._shared},
        )
        used = self._used.setdefault(use.worker_id, Counter())
        used.update(use.own)
        self._shared_used.update(use.shared)
        self._compare(f"W2 {use.worker_id}", run, used, capacity)
        self._compare("W3 the pool", run, self._shared_used, self._shared)
        self._count_key(attempt)
        return use

    def end(self, use: Use) -> None:
        """Count what an attempt took up as free again: nothing of it runs any more."""
        self._running.discard(use.run)
        self._used[use.worker_id].subtract(use.own)
        self._shared_used.subtract(use.shared)
        self._keys.pop(use.run, None)

    def _count_key(self, attempt: Attempt) -> None:
        concurrency = attempt.task.concurrency
        if concurrency is not None:
            run = (attempt.execution_id, attempt.task.id, attempt.attempt)
            self._keys[run] = concurrency.key
            count = Counter(self._keys.values())[concurrency.key]
            if count > concurrency.limit:
                self.faults.append(f"K2 {run} is one of {count} with the key of {concurrency}")

    def _compare(self, who: str, run: Run, used: Counter[str], most: Amounts) -> None:
        for name, amount in used.items():
            if amount > most.get(name, 0):
                self.faults.append(
                    f"{who} has {most.get(name, 0)} {name}, and with {run} {amount} are in use"
                )

    def is_running(self, execution_id: str, task_id: str, attempt: int) -> bool:
        """Tell whether anything of an attempt runs now."""
        return (execution_id, task_id, attempt) in self._running


def failure_of(attempt: int) -> str:
    """Return what an attempt that fails says; like a result it names the attempt."""
    return f"Attempt {attempt} failed, as drawn."


def misattributed(event: Any) -> str:
    """T1 say that an outcome is recorded as that of another attempt than had it; empty when it is not."""
    match event:
        case e.TaskSucceeded():
            is_own = bytes(event.result) == str(event.attempt).encode()
        case e.TaskFailed() | e.TaskRetrying() | e.TaskFellBack() if event.error.code == "task_failed":
            is_own = event.error.message == failure_of(event.attempt)
        case _:
            return ""
    return "" if is_own else f"T1 attempt {event.attempt} of {event.task_id} has the outcome of another"
