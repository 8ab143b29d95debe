"""Planted bugs of going back, of sub-workflows on the way, and of forks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.messages import ChildFinished

children = import_module("talka_core.scheduler.children")
compensation = import_module("talka_core.scheduler.compensation")
extent = import_module("talka_core.scheduler.extent")
undoing = import_module("talka_core.scheduler.evolve.undoing")
groups = import_module("talka_core.scheduler.groups")
forking = import_module("talka_core.scheduler.forking")


def cascade_forgotten() -> AbstractContextManager[Any]:
    """A rollback leaves what sub-workflows did."""
    real = compensation._is_undoable  # noqa: SLF001

    def is_undoable(state: ExecutionRecord, task_id: str) -> bool:
        return bool(real(state, task_id)) and not state.tasks[task_id].children

    return patch.object(compensation, "_is_undoable", is_undoable)


def child_of_any_attempt_accepted() -> AbstractContextManager[Any]:
    """A report of an earlier attempt's sub-workflow is taken for one of the current attempt."""
    real = children.finished

    def finished(state: ExecutionRecord, message: ChildFinished, now_ms: int) -> Iterator[Any]:
        record = state.tasks.get(message.task_id)
        if record is not None:
            message = replace(message, attempt=record.attempt)
        yield from real(state, message, now_ms)

    return patch.object(children, "finished", finished)


def kept_task_forgotten() -> AbstractContextManager[Any]:
    """A fork forgets the last task that its origin had ended, and runs it again."""
    real = forking.adopt

    def adopt(state: ExecutionRecord) -> Iterator[Any]:
        yield from list(real(state))[:-1]

    return patch.object(forking, "adopt", adopt)


def kept_items_run_again() -> AbstractContextManager[Any]:
    """A map that goes back to when it was partly done takes its items for undone, and so they run again."""
    real = extent.had_ended

    def had_ended(record: Any, event: int) -> bool:
        return bool(real(record, event)) and not record.added_at

    return patch.object(extent, "had_ended", had_ended)


def items_of_groups_forgotten() -> AbstractContextManager[Any]:
    """A group that fails leaves what the items of its maps did."""

    def members(state: ExecutionRecord, group: str) -> list[str]:
        return state.index.groups[group]

    return patch.object(groups, "members", members)


def pause_lost_on_the_way_back() -> AbstractContextManager[Any]:
    """A task that somebody had paused before the event of a rollback is free to start after it."""

    def pause_again(_state: ExecutionRecord, _pauses: Mapping[str, int]) -> None:
        """Forget the pauses."""

    return patch.object(undoing, "_pause_again", pause_again)


def chosen_checkpoint_ignored() -> AbstractContextManager[Any]:
    """A task that is restarted from a checkpoint begins anew, or from its newest one."""

    def go_on(_state: ExecutionRecord, _progress: object) -> None:
        """Forget what was chosen."""

    return patch.object(undoing, "_go_on", go_on)


REWINDING_MUTANTS = (
    chosen_checkpoint_ignored,
    pause_lost_on_the_way_back,
    items_of_groups_forgotten,
    cascade_forgotten,
    child_of_any_attempt_accepted,
    kept_task_forgotten,
    kept_items_run_again,
)
