"""Gangs of a world: what is drawn of them, and what must hold of their grants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_core.gangs import check_gangs as check_definition
from talka_core.resource import PoolRecord, gangs
from talka_core.resource.fairness import Shares
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.subjects import LogName
from talka_protocols.workflow import ResourceRequirements, Workflow

SHARE = 0.4


def with_gangs(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let some tasks of some seeds be a gang; no other draw of the seed depends on it."""
    random = Random(f"gangs {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return list(workflows)
    return [_ganged(random, workflow) for workflow in workflows]


def _ganged(random: Random, workflow: Workflow) -> Workflow:
    """Return the workflow with two tasks that may run at once as a gang, if it has such."""
    fitting = [
        number
        for number, task in enumerate(workflow.tasks)
        if task.agent_type == AGENT_TYPE and task.map is None and task.loop is None
    ]
    for _ in range(5 if len(fitting) > 1 else 0):
        chosen = random.sample(fitting, 2)
        tasks = list(workflow.tasks)
        for number in chosen:
            # The first worker has two cores and takes both, so that the gang always fits some time.
            cores = random.choice((0.5, 1.0))
            tasks[number] = replace(
                tasks[number], gang="g", resources=ResourceRequirements(cpu_cores=cores), concurrency=None
            )
        found = replace(workflow, tasks=tuple(tasks))
        try:
            check_definition(found)
        except WorkflowInvalidError:
            continue
        return found
    return workflow


def single(events: Iterable[tuple[int, Any, Any]]) -> Iterator[tuple[int, Any, Any]]:
    """Yield events with the grants of a gang one by one in its place."""
    for version, cause, event in events:
        if isinstance(event, e.GangGranted):
            for granted in event.grants:
                yield version, cause, granted
        else:
            yield version, cause, event


def gang_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """G1 yield each grant of a part of a gang, and each member of a gang that is granted alone."""
    for commit in commits:
        for version, _, event in commit.events():
            match event:
                case e.GangGranted():
                    names = {granted.allocation_id for granted in event.grants}
                    wanted = {granted.terms.members for granted in event.grants}
                    if wanted != {len(names)}:
                        yield f"G1 {log}: event {version} grants {sorted(names)} of {wanted} in {event.gang}"
                case e.AllocationGranted() if event.terms.gang:
                    yield f"G1 {log}: event {version} grants {event.allocation_id} alone"
                case _:
                    pass


def check_gangs(state: PoolRecord) -> None:
    """R6 the gang whose turn it is waits for nothing but resources, where only gangs wait."""
    heads = [(queue[0], state.waiting[queue[0][2]], queue) for queue in state.queues.values()]
    shares = Shares(state, (request.terms.tenant for _, request, _ in heads))
    _, first, queue = min(heads, key=lambda head: (shares.of(head[1].terms.tenant), head[0]))
    if first.terms.gang and (members := gangs.members_of(state, [at[2] for at in queue], {})):
        is_let = gangs.may_start(state, members)
        assert not is_let or gangs.placed(state, members) is None, f"R6 {first.terms.gang} waits, and fits"
