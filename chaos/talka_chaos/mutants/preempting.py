"""Planted bugs of preemption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from talka_core.scheduler import ExecutionRecord
from talka_protocols.events import AllocationReleased, TaskPreempted

preemption = import_module("talka_core.resource.preemption")
preempting = import_module("talka_core.scheduler.preempting")


def better_ranks_preempted() -> AbstractContextManager[Any]:
    """What may be preempted makes way for any deadline, whatever its rank."""

    def is_victim(grant: Any, _request: Any) -> bool:
        return bool(grant.rank) and not grant.preempted_by

    return patch.object(preemption, "_is_victim", is_victim)


def preempted_freed_early() -> AbstractContextManager[Any]:
    """What an attempt holds goes back when it is told to stop, and not when it has ended."""
    real = preempting._make_way  # noqa: SLF001

    def make_way(state: ExecutionRecord, message: Any, now_ms: int) -> Iterator[Any]:
        for event in real(state, message, now_ms):
            yield event
            if isinstance(event, TaskPreempted):
                yield AllocationReleased(message.allocation_id)

    return patch.object(preempting, "_make_way", make_way)


PREEMPTION_MUTANTS = (better_ranks_preempted, preempted_freed_early)
