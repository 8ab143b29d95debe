"""One request in a pool's queue, and what it lacks on each worker."""

from __future__ import annotations

from functools import cached_property, partial

from msgspec import Struct

from talka_core.explanation.picture import Subject, seconds
from talka_core.resource import PoolRecord
from talka_core.resource.placement import claim_of
from talka_core.resource.shared import free_of, own_of, shared_of
from talka_core.resource.state import SLOTS, Amounts, Place, Request, WorkerEntry
from talka_protocols.explanations import Cause


class Asking(Struct, frozen=True, dict=True):
    """What a task has asked a pool for, and does not have."""

    subject: Subject
    pool: PoolRecord
    request: Request

    @property
    def cause(self) -> partial[Cause]:
        """Return what makes causes about the task, since it has been in the queue."""
        record = self.subject.state.tasks[self.subject.task_id]
        return partial(self.subject.cause, since=seconds(record.queued_at))

    @property
    def allocation_id(self) -> str:
        """Return the name of the request."""
        return self.subject.state.tasks[self.subject.task_id].allocation_id

    @cached_property
    def place(self) -> Place:
        """Return where in its queue the request stands."""
        return next(at for at in self.pool.queues[self.request.shape] if at[2] == self.allocation_id)

    @cached_property
    def shared(self) -> Amounts:
        """Return the pool-wide part of what is asked for, in thousandths."""
        return shared_of(self.pool, self.request.amounts)

    @cached_property
    def serving(self) -> dict[str, WorkerEntry]:
        """Return the workers that serve the agent type, draining or not."""
        wanted = self.request.agent_type
        return {w: entry for w, entry in self.pool.workers.items() if wanted in entry.agent_types}

    @cached_property
    def open(self) -> dict[str, WorkerEntry]:
        """Return those of them that take new work."""
        return {w: entry for w, entry in self.serving.items() if not entry.is_draining}

    def claim(self, entry: WorkerEntry) -> Amounts:
        """Return what the request would take from a worker, in thousandths."""
        return claim_of(entry, self.request.agent_type, own_of(self.request.amounts, self.shared))

    def lacks(self, entry: WorkerEntry) -> Amounts:
        """Return what a worker has too little of free, and by how much."""
        claim = self.claim(entry)
        return {n: a - entry.free.get(n, 0) for n, a in claim.items() if entry.free.get(n, 0) < a}

    @cached_property
    def nearest(self) -> tuple[str, WorkerEntry] | None:
        """Return the open worker that could take the request and lacks the least; None if none could."""
        able = [
            (w, entry)
            for w, entry in self.open.items()
            if all(entry.capacity.get(n, 0) >= a for n, a in self.claim(entry).items())
        ]
        return min(
            able,
            key=lambda found: (_share(self.lacks(found[1]), self.claim(found[1])), found[0]),
            default=None,
        )

    @cached_property
    def missing(self) -> list[str]:
        """Return the names of what is short: pool-wide, or on the nearest worker."""
        wide = [n for n, a in self.shared.items() if free_of(self.pool, n) < a]
        nearest = self.nearest
        return wide or ([] if nearest is None else list(self.lacks(nearest[1])))

    def competes_with(self, other: Request) -> bool:
        """Tell whether another request wants some of what is short."""
        if other.shape == self.request.shape:
            return True
        is_for_slots = any(n.startswith(SLOTS) for n in self.missing)
        return is_for_slots or any(other.amounts.get(n, 0) > 0 for n in self.missing)


def _share(lacks: Amounts, claim: Amounts) -> float:
    return sum(amount / claim[name] for name, amount in lacks.items())
