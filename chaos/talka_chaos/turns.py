"""The invariants of turns: T1 what waits ranks as its execution ranks now; T2 the pool knows that rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from talka_core.history import FOLDS, apply
from talka_core.resource import PoolRecord
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.scheduler.ranking import rank_of
from talka_core.strategies import PRIORITY_MAX
from talka_protocols.commit import Commit
from talka_protocols.events import BaselineAdopted, ExecutionReprioritized
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION, LogName

_ORDERS = (ExecutionReprioritized, BaselineAdopted)
_COMPLETIONS = ("takeover", "reload", "adopted")
"""Why a log that may end in the middle of a decision is asked to go on, before anything else is decided."""


def check_turns(state: ExecutionRecord) -> None:
    """T1 a ready or queued task has the rank of the present strategy, once a commit is whole."""
    for task_id, record in state.tasks.items():
        if record.status in (TaskStatus.READY, TaskStatus.QUEUED) and record.rank:
            rank = rank_of(state, task_id)
            assert record.rank == rank, f"T1 {task_id} waits at {record.rank}, and ranks {rank}"
    for rank, task_id in state.ready:
        assert rank == state.tasks[task_id].rank, f"T1 {task_id} is ready at {rank}, not at its own rank"


def check_waiting(execution: ExecutionRecord, pool: PoolRecord) -> None:
    """T2 what the pool has waiting for a queued task waits at its rank, if it is not promoted."""
    for task_id, record in execution.tasks.items():
        request = pool.waiting.get(record.allocation_id)
        if request is not None and record.status is TaskStatus.QUEUED:
            known = record.rank
            if record.allocation_id in pool.promoted:
                known = (known[0] - PRIORITY_MAX, *known[1:])
            assert request.rank == known, (
                f"T2 {task_id} waits in the pool at {request.rank}, and ranks {record.rank}"
            )


def turn_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """T1 yield what still waits at its old rank after the execution was told another order.

    A decision that is too large for one commit is looked at when its last part is stored.
    """
    state = SCHEDULER.initial(log.key)
    is_told = False
    for number, commit in enumerate(commits):
        state = apply(FOLDS[EXECUTION], state, [commit])
        is_told |= any(isinstance(event, _ORDERS) for _, _, event in commit.events())
        if is_told and not _is_part(commit, commits[number + 1 :]):
            is_told = False
            try:
                check_turns(state)
            except AssertionError as error:
                yield f"{log}: {error}"


def _is_part(commit: Commit[Any], rest: Sequence[Commit[Any]]) -> bool:
    """Tell whether what follows goes on with the last decision, or completes what may have been cut short."""
    return bool(rest) and rest[0].decisions[0].cause in (commit.decisions[-1].cause, *_COMPLETIONS)
