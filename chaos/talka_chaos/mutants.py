"""Planted bugs, each the removal of one safeguard: a simulation that misses one is worth nothing.

A mutant is applied by patching for as long as its context lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace as replaced
from importlib import import_module
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from talka_chaos import hosts
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import AllocationFreed, TaskScheduled
from talka_protocols.messages import AttemptFinished, GrantAllocation, Recipient, RevokeAllocation
from talka_protocols.ports import Inbox
from talka_protocols.states import TaskStatus
from talka_services.runner.actor import Actor
from talka_services.runner.states import States
from talka_services.service.launcher import Launcher

attempts = import_module("talka_core.scheduler.attempts")
branching = import_module("talka_core.scheduler.branching")
decide = import_module("talka_core.scheduler.decide")
effects = import_module("talka_core.scheduler.effects")
evolve = import_module("talka_core.scheduler.evolve.execution")
pool = import_module("talka_core.resource.decide")
placement = import_module("talka_core.resource.placement")

Mutant = Callable[[], AbstractContextManager[Any]]


def dependencies_ignored() -> AbstractContextManager[Any]:
    """Everything is ready at once."""
    real = evolve.index_of

    def index_of(workflow: Any) -> Any:
        index = real(workflow)
        nothing: dict[str, Any] = {task_id: [] for task_id in index.tasks}
        return replace(index, predecessors=nothing, successors=nothing)

    return patch.object(evolve, "index_of", index_of)


def attempt_ignored() -> AbstractContextManager[Any]:
    """A report of any attempt is taken for one of the current attempt."""
    real = attempts.finished

    def finished(state: ExecutionRecord, message: AttemptFinished, now_ms: int) -> Any:
        record = state.tasks.get(message.task_id)
        attempt = record.attempt if record else 0
        return real(state, replace(message, attempt=attempt), now_ms)

    return patch.object(attempts, "finished", finished)


def stale_grant_accepted() -> AbstractContextManager[Any]:
    """A grant of any attempt is taken for the current one."""

    def granted(state: ExecutionRecord, message: GrantAllocation) -> Iterator[Any]:
        record = state.tasks.get(message.task_id)
        if record is not None and record.status is TaskStatus.QUEUED:
            yield TaskScheduled(
                message.task_id, record.attempt, message.worker_id, message.allocation_id, message.fence
            )

    return patch.object(decide, "_granted", granted)


def capacity_ignored() -> AbstractContextManager[Any]:
    """Every request fits on every worker."""

    def load(_entry: Any, _claim: Any) -> float:
        return 0.0

    return patch.object(placement, "_load", load)


def resume_forgotten() -> AbstractContextManager[Any]:
    """A scheduler that takes over, or gets no answer, repeats nothing."""
    behaviour = hosts.BEHAVIOURS[Recipient.SCHEDULER]

    def resume(_state: Any) -> tuple[()]:
        return ()

    forgetful = replaced(behaviour, resume=resume)
    return patch.dict(hosts.BEHAVIOURS, {Recipient.SCHEDULER: forgetful})


def acknowledged_too_early() -> AbstractContextManager[Any]:
    """Deliveries are settled before what they led to is recorded."""
    real: Any = vars(Actor)["_next"]

    async def hasty(self: Actor, inbox: Inbox) -> Any:
        deliveries = await real(self, inbox)
        if deliveries:
            await inbox.acknowledge(deliveries)
        return deliveries

    return patch.object(Actor, "_next", hasty)


def late_grant_releases_heir() -> AbstractContextManager[Any]:
    """A repeated grant is given back although its allocation was handed on."""

    def is_held(state: ExecutionRecord, allocation: str) -> bool:
        task_id = allocation.removeprefix(state.execution_id + "/").rpartition("/")[0]
        record = state.tasks.get(task_id)
        return record is not None and record.allocation_id == allocation

    return patch.object(effects, "_is_held", is_held)


def revocation_of_queued_ignored() -> AbstractContextManager[Any]:
    """A revocation that overtakes its grant is forgotten."""
    real = attempts.revoked

    def revoked(state: ExecutionRecord, message: RevokeAllocation, now_ms: int) -> Iterator[Any]:
        held = [r.status for r in state.tasks.values() if r.allocation_id == message.allocation_id]
        return iter(()) if TaskStatus.QUEUED in held else real(state, message, now_ms)

    return patch.object(attempts, "revoked", revoked)


def lost_worker_keeps_its_grants() -> AbstractContextManager[Any]:
    """The pool frees what stood on a lost worker without waiting for its holder to let go."""
    real = pool._lose  # noqa: SLF001

    def lose(state: Any, worker_id: str, incarnation: int, reason: str) -> Iterator[Any]:
        yield from real(state, worker_id, incarnation, reason)
        for allocation_id, grant in list(state.grants.items()):
            if grant.is_revoked:
                yield AllocationFreed(allocation_id, grant.holder)

    return patch.object(pool, "_lose", lose)


def orphans_left_behind() -> AbstractContextManager[Any]:
    """A log that the roster missed is not adopted."""

    async def adopt(_self: States, _key: str) -> bool:
        return False

    return patch.object(States, "_adopt", adopt)


def early_stop_unreported() -> AbstractContextManager[Any]:
    """An attempt that is stopped before its first step is never reported."""

    def never_began(_self: Any, _key: Any, _task: Any) -> None:
        """Say nothing."""

    return patch.object(Launcher, "_never_began", never_began)


def conditions_ignored() -> AbstractContextManager[Any]:
    """A task runs whatever its condition says."""

    def judge(_state: ExecutionRecord, _task_id: str, _now_ms: int) -> Iterator[Any]:
        return iter(())

    return patch.object(branching, "judge", judge)


MUTANTS: dict[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        dependencies_ignored,
        attempt_ignored,
        stale_grant_accepted,
        capacity_ignored,
        resume_forgotten,
        acknowledged_too_early,
        late_grant_releases_heir,
        revocation_of_queued_ignored,
        lost_worker_keeps_its_grants,
        orphans_left_behind,
        early_stop_unreported,
        conditions_ignored,
    )
}


def seeds_needed(mutant: Mutant, at_most: int, first: int = 0) -> int | None:
    """Return how many seeds it took to notice the mutant, or None."""
    from talka_chaos.sim import run  # noqa: PLC0415  (mutants are defined without running anything)

    with ExitStack() as stack:
        stack.enter_context(mutant())
        for count in range(1, at_most + 1):
            if not run(first + count - 1).is_healthy:
                return count
    return None
