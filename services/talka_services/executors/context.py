"""What a task's function may know about the attempt it runs in."""

from __future__ import annotations

from msgspec import Struct

from talka_protocols.ports import Attempt


class TaskContext(Struct, frozen=True, array_like=True):
    """Given to a function that has a parameter named ``context``; read-only.

    ``attempt`` counts from 1, ``fence`` grows with every attempt so that an
    outside system can refuse an older one.
    """

    execution_id: str
    task_id: str
    attempt: int
    fence: int
    worker_id: str
    effect_key: str = ""

    @property
    def idempotency_key(self) -> str:
        """Name the task's effect, equal for all its attempts until it is undone or run again on request."""
        return self.effect_key or f"{self.execution_id}/{self.task_id}"


def context_of(attempt: Attempt) -> TaskContext:
    """Return what the attempt's function may know of it."""
    return TaskContext(
        attempt.execution_id,
        attempt.task.id,
        attempt.attempt,
        attempt.fence,
        attempt.worker_id,
        attempt.idempotency_key,
    )
