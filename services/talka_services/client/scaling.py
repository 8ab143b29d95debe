"""How many workers a pool shall have: declaring it, and looking at what follows from it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

from msgspec import Struct

from talka_core.resource import PoolRecord
from talka_core.resource.demand import demand_of, oldest_at
from talka_core.resource.scaling import active, wanted
from talka_protocols.errors import CallerError, ServerUnavailableError
from talka_protocols.messages import Recipient, ScalePool, sealed
from talka_protocols.policies import ScalingPolicy
from talka_protocols.subjects import is_token
from talka_services.client.asking import asker
from talka_services.client.histories import Histories
from talka_services.runner.ports import Ports
from talka_services.service.configuration import check_scaling

ANSWER_S = 10.0


class PoolDemand(Struct, frozen=True):
    """What an autoscaler needs to know of a pool; ``desired_workers`` is None without a policy.

    ``queue_length`` are the requests that more workers would help, ``held_up``
    those that wait for something else. Times are seconds, None where unknown.
    """

    pool: str
    desired_workers: int | None
    workers: int
    draining: int
    queue_length: int
    held_up: int
    oldest_wait_s: float
    expected_wait_s: float | None
    load: float
    policy: ScalingPolicy | None = None


async def scale_pool(ports: Ports, histories: Histories, pool: str, policy: ScalingPolicy | None) -> None:
    """Declare how many workers a pool shall have, or nothing any more, and return when that is recorded.

    Raises:
        CallerError: the policy makes no sense, or the pool's name cannot be used.
        ServerUnavailableError: nobody owns the pool; the declaration stays on file for whoever will.
    """
    if policy is not None:
        check_scaling(policy)
    if not is_token(pool):
        raise CallerError(f"The pool {pool!r} cannot be used.", hint="Use letters, digits, '-' and '_'.")
    client_id = f"client-{uuid4().hex[:12]}"
    body = sealed(client_id, ScalePool(pool, policy), letter_id=f"{client_id}:1", asked_by=asker())
    await ports.post.send([(ports.names.requests(Recipient.RESOURCE.value, pool), body)])
    try:
        async with asyncio.timeout(ANSWER_S), aclosing(histories.follow_pool(pool)) as states:
            async for state in states:
                if (state.scaling.policy if state.scaling else None) == policy:
                    return
    except TimeoutError:
        raise ServerUnavailableError(
            f"Nobody owns pool {pool!r} just now; the policy is on file until somebody does.",
            hint="Start it: talka up, or talka service resource.",
        ) from None


async def pool_demand(histories: Histories, pool: str, now_ms: int) -> PoolDemand:
    """Return what there is to do in a pool, and how many workers it shall have for that."""
    return demand_in(await histories.pool(pool), now_ms)


def demand_in(state: PoolRecord, now_ms: int) -> PoolDemand:
    """Return what there is to do in a pool that stands so; see ``pool_demand``."""
    pool, there, scaling = state.pool, active(state), state.scaling
    draining = len(state.workers) - len(there)
    if scaling is None:
        oldest = min((request.queued_at for request in state.waiting.values()), default=now_ms)
        waits_s = max(0, now_ms - oldest) / 1000
        waiting = len(state.waiting)
        return PoolDemand(pool, None, len(there), draining, waiting, 0, waits_s, None, 0.0)
    demand = demand_of(state, scaling)
    expected_ms = demand.expected_wait_ms(scaling.workers)
    oldest = oldest_at(state, scaling, now_ms)
    return PoolDemand(
        pool,
        wanted(state, scaling, demand, now_ms)[0],
        len(there),
        draining,
        demand.waiting,
        demand.others,
        max(0, now_ms - oldest) / 1000 if oldest else 0.0,
        None if expected_ms < 0 else expected_ms / 1000,
        round(demand.load, 3),
        scaling.policy,
    )
