"""The invariants of turns: T1 what waits ranks as its execution ranks now; T2 the pool knows that rank."""

from __future__ import annotations

from collections.abc import Iterator
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
    """T1 yield what still waits at its old rank after the execution was told another order."""
    state = SCHEDULER.initial(log.key)
    for commit in commits:
        state = apply(FOLDS[EXECUTION], state, [commit])
        if any(
            isinstance(event, ExecutionReprioritized | BaselineAdopted) for _, _, event in commit.events()
        ):
            try:
                check_turns(state)
            except AssertionError as error:
                yield f"{log}: {error}"
