"""R5: what arrived together was granted in the order of ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from talka_core.resource.state import shape_of
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import Affinity
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Task

Rank = tuple[float, ...]
Standing = tuple[Rank, tuple[tuple[str, str], ...]]
"""The rank of a task, and the labels that it requires of its worker."""
Standings = dict[tuple[str, str], Standing]

_WITHIN_A_ROUND = (e.AllocationGranted, e.AllocationQueued, e.AllocationPermitWithdrawn)


def standings_of(histories: Iterable[tuple[LogName, list[Commit[Any]]]]) -> Standings:
    """Return how each task stands by execution and task, but none that ever stood in two ways.

    Those of an execution that was told another order are left out: what it says when a task
    gets ready may not be the rank at which it asks.
    """
    seen: dict[tuple[str, str], set[Standing]] = {}
    reordered: set[str] = set()
    for log, commits in histories:
        labels: dict[str, tuple[tuple[str, str], ...]] = {}
        for commit in commits:
            for _, _, event in commit.events():
                labels |= {task.id: tuple(sorted(task.requires.items())) for task in _defined(event)}
                if isinstance(event, e.TaskReady):
                    standing = (event.rank, labels.get(event.task_id, ()))
                    seen.setdefault((log.key, event.task_id), set()).add(standing)
                elif isinstance(event, e.ExecutionReprioritized | e.BaselineAdopted):
                    reordered.add(log.key)
    return {
        task: next(iter(standings))
        for task, standings in seen.items()
        if len(standings) == 1 and task[0] not in reordered
    }


def _defined(event: Any) -> Sequence[Task]:
    match event:
        case e.ExecutionAccepted() if event.workflow is not None:
            return event.workflow.tasks
        case e.TasksAdded():
            return event.tasks
        case _:
            return ()


def ranking_findings(log: LogName, commits: list[Commit[Any]], standings: Standings) -> Iterator[str]:
    """R5 yield each grant in front of an equal request of a better rank that was decided with it.

    Requests that require other labels are not equal: a worker may be held that only some of them
    leave in time. Nor are those that use a reservation: what it keeps is for them alone.
    """
    promoted: set[str] = set()
    for commit in commits:
        granted: dict[str, tuple[Rank, str]] = {}
        for _, _, event in commit.events():
            if not isinstance(event, _WITHIN_A_ROUND):
                granted = {}
            if isinstance(event, e.RequestPromoted):
                promoted.add(event.allocation_id)
            if not isinstance(event, e.AllocationGranted | e.AllocationQueued):
                continue
            standing = standings.get((event.holder.execution_id, event.holder.task_id))
            if standing is None or event.allocation_id in promoted or event.terms.reservation:
                continue
            rank, labels = standing
            of, where = event.holder.execution_id, Affinity(dict(labels))
            shape = shape_of(event.agent_type, event.amounts, where, event.terms, of)
            if isinstance(event, e.AllocationGranted):
                granted[shape] = max(granted.get(shape, (rank, "")), (rank, event.allocation_id))
            elif shape in granted and granted[shape][0] > rank:
                yield (
                    f"R5 {log}: {granted[shape][1]} was granted at {granted[shape][0]} "
                    f"while {event.allocation_id} at {rank} had to wait"
                )
