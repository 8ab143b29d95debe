"""Tasks under limits per key, and what must be true of them in the pool's log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from talka_chaos.gangs import single
from talka_chaos.graphs import AGENT_TYPE
from talka_core.keys import counter_of, is_rate, limit_of, period_of
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.policies import Concurrency, Rate
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Task, Workflow

SHARE = 0.25


def with_keys(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Put some tasks of a quarter of all seeds under limits; no other draw of the seed depends on it."""
    random = Random(f"keys {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return list(workflows)
    return [
        replace(workflow, tasks=tuple(_keyed(random, task) for task in workflow.tasks))
        for workflow in workflows
    ]


def _keyed(random: Random, task: Task) -> Task:
    if task.agent_type != AGENT_TYPE:
        return task
    if random.random() < 0.4:
        task = replace(task, concurrency=random.choice((Concurrency("k", 1), Concurrency("l", 2))))
    if random.random() < 0.2:
        task = replace(task, rate=Rate("r", random.choice((1, 3)), random.choice((0.5, 2.0))))
    return task


def rate_findings(log: LogName, commits: Iterable[Commit[Any]]) -> Iterator[str]:
    """K1 yield each grant that went over the rate that it asked for; a start counts for its own time."""
    ends: dict[str, list[int]] = {}
    for commit in commits:
        for _, _, event in single(commit.events()):
            if not isinstance(event, e.AllocationGranted):
                continue
            for name in filter(is_rate, event.amounts):
                known = ends.setdefault(counter_of(name), [])
                recent = [end for end in known if end > commit.at]
                if len(recent) >= limit_of(name):
                    yield f"K1 {log}: {event.allocation_id} at {commit.at} is over {name} until {recent}"
                known.append(commit.at + period_of(name))
