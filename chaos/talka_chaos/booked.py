"""Reservations in advance that a world's tasks use, or come too late for."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.hosts import POOL_ID
from talka_protocols.messages import EndReservation, ReserveResources, ResourceMessage
from talka_protocols.workflow import Task, Workflow

SHARE = 0.3
CLIENT = "booker"
CORES = 2.0
"""What the first worker has and the largest task asks for."""


def with_bookings(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let a task of some seeds name a reservation; no other draw of the seed depends on it."""
    random = Random(f"bookings {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return list(workflows)
    return [_naming(random, workflow, f"r{number}") for number, workflow in enumerate(workflows)]


def _naming(random: Random, workflow: Workflow, name: str) -> Workflow:
    fitting = [number for number, task in enumerate(workflow.tasks) if _may_name(task)]
    if not fitting or random.random() < 0.3:
        return workflow
    tasks = list(workflow.tasks)
    chosen = random.choice(fitting)
    tasks[chosen] = replace(tasks[chosen], reservation=name)
    return replace(workflow, tasks=tuple(tasks))


def _may_name(task: Task) -> bool:
    is_plain = task.map is None and task.loop is None and not task.gang and not task.requires
    is_own = not task.resources.custom_resources and task.concurrency is None and task.rate is None
    return task.agent_type == AGENT_TYPE and is_plain and is_own


def drawn_requests(
    seed: int, workflows: Sequence[Workflow], now_ms: int
) -> list[tuple[float, ResourceMessage]]:
    """Return what a client asks of the pool and at which virtual seconds; some is given up again."""
    random = Random(f"requests {seed}")  # noqa: S311
    asked: list[tuple[float, ResourceMessage]] = []
    for workflow in workflows:
        for task in workflow.tasks:
            if not task.reservation:
                continue
            at_s, starts_s = random.uniform(0.5, 3.0), random.uniform(4.0, 30.0)
            ttl_ms = random.choice((2_000, 20_000, 60_000))
            asked.append(
                (
                    at_s,
                    ReserveResources(
                        POOL_ID,
                        task.reservation,
                        CLIENT,
                        {"cpu_cores": random.choice((1.0, CORES))},
                        ttl_ms=ttl_ms,
                        starts_at=now_ms + round(1000 * starts_s),
                        tenant=workflow.config.tenant,
                    ),
                )
            )
            if random.random() < 0.2:
                asked.append((at_s + 5.0, EndReservation(POOL_ID, task.reservation)))
    return asked
