"""R5: what arrived together was granted in the order of ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from talka_core.resource.state import shape_of
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.subjects import LogName

Rank = tuple[float, ...]
Ranks = dict[tuple[str, str], Rank]

_WITHIN_A_ROUND = (e.AllocationGranted, e.AllocationQueued, e.AllocationPermitWithdrawn)


def ranks_of(histories: Iterable[tuple[LogName, list[Commit[Any]]]]) -> Ranks:
    """Return the rank of each task by execution and task, but of none that ever had two.

    Those of an execution that was told another order are left out: what it says when a task
    gets ready may not be the rank at which it asks.
    """
    seen: dict[tuple[str, str], set[Rank]] = {}
    reordered: set[str] = set()
    for log, commits in histories:
        for commit in commits:
            for _, _, event in commit.events():
                if isinstance(event, e.TaskReady):
                    seen.setdefault((log.key, event.task_id), set()).add(event.rank)
                elif isinstance(event, e.ExecutionReprioritized | e.BaselineAdopted):
                    reordered.add(log.key)
    return {
        task: next(iter(ranks))
        for task, ranks in seen.items()
        if len(ranks) == 1 and task[0] not in reordered
    }


def ranking_findings(log: LogName, commits: list[Commit[Any]], ranks: Ranks) -> Iterator[str]:
    """R5 yield each grant in front of an equal request of a better rank that was decided with it."""
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
            rank = ranks.get((event.holder.execution_id, event.holder.task_id))
            needs_a_label = isinstance(event, e.AllocationQueued) and event.affinity.requires
            if rank is None or needs_a_label or event.allocation_id in promoted:
                continue
            of = event.holder.execution_id
            shape = shape_of(event.agent_type, event.amounts, terms=event.terms, execution_id=of)
            if isinstance(event, e.AllocationGranted):
                granted[shape] = max(granted.get(shape, (rank, "")), (rank, event.allocation_id))
            elif shape in granted and granted[shape][0] > rank:
                yield (
                    f"R5 {log}: {granted[shape][1]} was granted at {granted[shape][0]} "
                    f"while {event.allocation_id} at {rank} had to wait"
                )
