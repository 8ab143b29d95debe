"""Deadlines of a world, work that may be preempted for them, and judges of who makes way for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from talka_chaos.gangs import single
from talka_chaos.graphs import AGENT_TYPE
from talka_core.scheduler.terms import PREEMPTIONS_MAX
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Strategy, Task, Workflow

SHARE = 0.3


def with_deadlines(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let something be due in some seeds, and other tasks be preemptible."""
    return [urgent(seed, workflow, number) for number, workflow in enumerate(workflows)]


def urgent(seed: int, workflow: Workflow, number: int) -> Workflow:
    """Return one workflow of a seed as it is drawn; no other draw of the seed depends on it."""
    if Random(f"deadlines {seed}").random() >= SHARE:  # noqa: S311  (the same for the same seed is the point)
        return workflow
    random = Random(f"deadlines {seed} {number}")  # noqa: S311
    workflow = replace(workflow, tasks=tuple(_preemptible(random, task) for task in workflow.tasks))
    if number % 2 == 0 and random.random() < 0.7:
        return workflow
    config = replace(workflow.config, strategy=Strategy.DEADLINE, deadline=random.choice((5.0, 20.0)))
    return replace(workflow, config=config)


def _preemptible(random: Random, task: Task) -> Task:
    may_be = task.agent_type == AGENT_TYPE and not task.is_irreversible and not task.gang
    return replace(task, is_preemptible=True) if may_be and random.random() < 0.7 else task


def preemption_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """D1 yield each preemption that nobody asked for, or that is for no better rank, by the events alone."""
    waiting: dict[str, tuple[float, ...]] = {}
    granted: dict[str, tuple[float, ...]] = {}
    for commit in commits:
        for version, _, event in single(commit.events()):
            match event:
                case e.AllocationQueued() | e.RequestPromoted():
                    waiting[event.allocation_id] = event.rank
                case e.AllocationGranted():
                    waiting.pop(event.allocation_id, None)
                    granted[event.allocation_id] = event.rank
                case e.AllocationFreed():
                    waiting.pop(event.allocation_id, None)
                    granted.pop(event.allocation_id, None)
                case e.AllocationPreempted():
                    rank, name = waiting.get(event.by), event.allocation_id
                    victim = granted.pop(name, ())
                    if rank is None or not victim or not rank[0] < victim[0]:
                        yield f"D1 {log}: event {version} preempts {name} at {victim} for {rank}"
                case _:
                    pass


def endless_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """D2 yield each task that is preempted more often than may be; one that runs again is counted anew."""
    counts: Counter[str] = Counter()
    going: tuple[str, ...] = ()
    for commit in commits:
        for version, _, event in commit.events():
            if isinstance(event, e.RollbackStarted):
                going = event.tasks
            elif isinstance(event, e.ExecutionRestarted | e.ExecutionRolledBack):
                for task_id in event.tasks if isinstance(event, e.ExecutionRestarted) else going:
                    counts.pop(task_id, None)
            elif isinstance(event, e.TaskPreempted):
                counts[event.task_id] += 1
                if counts[event.task_id] > PREEMPTIONS_MAX:
                    yield f"D2 {log}: event {version} preempts {event.task_id} once more"
