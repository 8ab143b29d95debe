"""Planted bugs of changing the order under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

control = import_module("talka_core.scheduler.evolve.control")
proposing = import_module("talka_core.scheduler.proposing")
reprioritizing = import_module("talka_core.scheduler.reprioritizing")


def requests_keep_their_place() -> AbstractContextManager[Any]:
    """What the pool was asked for before waits on at its old rank."""

    def withdraw_stale(_state: Any) -> Iterator[Any]:
        return iter(())

    return patch.object(reprioritizing, "withdraw_stale", withdraw_stale)


def ranks_kept() -> AbstractContextManager[Any]:
    """What is ready already keeps the rank that it had under the strategy of before."""

    def rank_of(state: Any, task_id: str) -> Any:
        return state.tasks[task_id].rank

    return patch.object(control, "rank_of", rank_of)


def stale_baseline_adopted() -> AbstractContextManager[Any]:
    """A schedule is adopted although something has happened since that it does not know."""

    def _refusal(state: Any, message: Any) -> Any:
        return original(state, replace(message, plan_version=state.plan_version))

    original = vars(proposing)["_refusal"]
    return patch.object(proposing, "_refusal", _refusal)


ORDERING_MUTANTS = (requests_keep_their_place, ranks_kept, stale_baseline_adopted)
