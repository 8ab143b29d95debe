"""Pools of a world that decide how many workers they have, who follows them, and what their log must say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec import Struct, field

from talka_chaos.hosts import POOL_ID, Process
from talka_chaos.ports import SimLeases
from talka_chaos.workers import WorkerProcess
from talka_chaos.world import World
from talka_core.resource import PoolRecord
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.messages import Envelope, Letter, Parcel, Recipient, WorkerLeft, encode_envelope
from talka_protocols.policies import ScalingPolicy
from talka_protocols.subjects import POOL, LogName

SHARE = 0.2
CORES = 2.0


def drawn_scaling(seed: int) -> ScalingPolicy | None:
    """Return the policy of one seed, or none; nothing else of the seed depends on it."""
    random = Random(f"scaling {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return None
    return ScalingPolicy(
        random.choice((0, 1)),
        random.choice((3, 5, 8)),
        random.choice((200, 1_000, 4_000)),
        random.choice((500, 3_000, 10_000)),
        random.choice((0, 2_000, 8_000)),
    )


class ScalerProcess(Process):
    """Starts and stops workers so that the pool has as many as it decided; they die with it."""

    def __init__(self, world: World, leases: SimLeases, sizes: tuple[int, int]) -> None:
        super().__init__("scaler", world, leases, sizes)
        self._started = 0

    async def live(self) -> None:
        """Follow the pool until it dies."""
        running: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await asyncio.sleep(self.world.random.uniform(0.1, 1.0))
                state = self.world.book.of_kind(POOL).get(POOL_ID)
                if state is not None and state.scaling is not None:
                    self._reconcile(state, running)
        finally:
            for task in running.values():
                task.cancel()

    def _reconcile(self, state: PoolRecord, running: dict[str, asyncio.Task[None]]) -> None:
        holding = {grant.worker_id for grant in state.grants.values() if not grant.is_revoked}
        for worker_id in list(running):
            entry = state.workers.get(worker_id)
            if entry is not None and entry.is_draining and worker_id not in holding:
                running.pop(worker_id).cancel()
                self._leave(worker_id, entry.incarnation)
        staying = [w for w in running if w not in state.workers or not state.workers[w].is_draining]
        others = [w for w, entry in state.workers.items() if not entry.is_draining and w not in running]
        missing = (state.scaling.workers if state.scaling else 0) - len(others) - len(staying)
        for _ in range(missing):
            self._started += 1
            worker = WorkerProcess(f"w{100 + self._started}", CORES, self.world, self.leases, self._sizes)
            worker.offer_elastically()
            running[worker.name] = asyncio.create_task(worker.run(), name=worker.name)

    def _leave(self, worker_id: str, incarnation: int) -> None:
        self.world.note("scaled down", worker_id)
        letter = Letter(
            f"left:{worker_id}:{incarnation}", WorkerLeft(POOL_ID, worker_id, incarnation, "Drained.")
        )
        body = encode_envelope(Envelope((Parcel(worker_id, incarnation, (letter,)),)))
        self.world.request(Recipient.RESOURCE.value, POOL_ID, body)


class _Seen(Struct):
    policy: ScalingPolicy | None = None
    workers: int = -1
    decided_at: int = 0
    elastic: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    draining: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])


def scaling_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """Say what is wrong with the size of a pool.

    E1 the number stays within the bounds that hold; E2 it falls only a whole
    cool-down after the last decision, unless bounds have changed; E3 only
    elastic workers are drained; E4 nothing is granted on one that drains.
    """
    seen = _Seen()
    for commit in commits:
        for version, _, event in commit.events():
            for sentence in _wrong(seen, event, commit.at):
                yield f"{sentence} ({log}, event {version})"


def _wrong(seen: _Seen, event: Any, at: int) -> Iterator[str]:
    match event:
        case e.ScalingConfigured():
            seen.policy = event.policy
        case e.ScalingDecided():
            policy = seen.policy
            if policy is None or not policy.min_workers <= event.workers <= policy.max_workers:
                yield f"E1 {event} is out of bounds of {policy}"
            elif (
                event.workers < event.previous
                and event.reason != "bounds"
                and at - seen.decided_at < policy.cool_down_ms
            ):
                yield f"E2 {event} comes {at - seen.decided_at} ms after the last decision"
            seen.workers, seen.decided_at = event.workers, at
        case e.WorkerJoined():
            if event.is_elastic:
                seen.elastic.add((event.worker_id, event.incarnation))
        case e.WorkerDraining():
            who = (event.worker_id, event.incarnation)
            seen.draining.add(who)
            if who not in seen.elastic:
                yield f"E3 {who} drains and is not elastic"
        case e.AllocationGranted():
            if (event.worker_id, event.incarnation) in seen.draining:
                yield f"E4 {event.allocation_id} is granted on a worker that drains"
        case _:
            pass
