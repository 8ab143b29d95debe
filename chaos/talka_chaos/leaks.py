"""Planted leaks: simulated histories, tampered with in one place, that the auditor must not call clean.

Each leak returns the tampered history, or None where the history has no place for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from talka_chaos.virtual_loop import at_once
from talka_chaos.world import World
from talka_core.auditing import Auditor, Kind, Summary, Violation
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision, decode_commit
from talka_protocols.events import Event
from talka_protocols.subjects import EXECUTION, POOL, SHARD, LogName


class Entry(Struct, frozen=True):
    """One event in its place: its log, and the position and time of its commit."""

    log: LogName
    position: int
    at: int
    event: Any


History = list[Entry]
Leak = Callable[[History], History | None]


def history_of(world: World) -> History:
    """Return every event that a world has recorded about allocations, in order."""
    names = [name for kind in (EXECUTION, POOL, SHARD) for name in at_once(world.log.names(kind))]
    stored = sorted(
        (item for name in names for item in at_once(world.log.read(name))), key=lambda i: i.position
    )
    return [
        Entry(item.log, item.position, commit.at, event)
        for item in stored
        for commit in (decode_commit(item.log, item.body),)
        for _version, _cause, event in commit.events()
    ]


def audited(history: History) -> tuple[list[Violation], Summary]:
    """Return what the auditor finds in a history whose versions are made gapless again, and has looked at."""
    auditor = Auditor()
    versions: dict[LogName, int] = {}
    found: list[Violation] = []
    for entry in history:
        version = versions[entry.log] = versions.get(entry.log, 0) + 1
        commit = Commit(version, entry.at, 0, (Decision("planted", (cast("Event", entry.event),)),))
        found += auditor.take(entry.log, entry.position, commit)
    return found + auditor.finish(is_at_rest=True), auditor.summary


def _places(history: History, kind: type[Any]) -> Iterator[tuple[int, Any]]:
    return ((place, entry.event) for place, entry in enumerate(history) if isinstance(entry.event, kind))


def _of_executions(history: History, kind: type[Any]) -> Iterator[tuple[int, Any]]:
    return ((place, event) for place, event in _places(history, kind) if event.holder.execution_id)


def _without(history: History, *places: int) -> History:
    return [entry for place, entry in enumerate(history) if place not in places]


def _with(history: History, place: int, *events: Any) -> History:
    """Return the history with these events instead of one."""
    entry = history[place]
    return [*history[:place], *(replace(entry, event=event) for event in events), *history[place + 1 :]]


def _uses(history: History, allocation_id: str) -> list[int]:
    """Return where attempts run on an allocation."""
    return [
        place for place, event in _places(history, e.TaskScheduled) if event.allocation_id == allocation_id
    ]


def _is_granted_once(history: History, allocation_id: str) -> bool:
    """Tell whether no repeated request has led to another grant, which would hide what is missing."""
    return [event.allocation_id for _, event in _places(history, e.AllocationGranted)].count(
        allocation_id
    ) == 1


def freed_dropped(history: History) -> History | None:
    """The pool forgets to free what an attempt ran on and gave back."""
    for place, event in _of_executions(history, e.AllocationFreed):
        if _uses(history, event.allocation_id) and _is_granted_once(history, event.allocation_id):
            return _without(history, place)
    return None


def granted_twice(history: History) -> History | None:
    """The pool grants the same allocation once more while it is held, under a new fence."""
    for place, event in _of_executions(history, e.AllocationGranted):
        again = replace(event, fence=event.fence + event.hands + 1)
        return _with(history, place, event, again)
    return None


def more_than_there_is(history: History) -> History | None:
    """The pool grants a hundred times what was asked for."""
    for place, event in _of_executions(history, e.AllocationGranted):
        if event.amounts.get("cpu_cores"):
            amounts = event.amounts | {"cpu_cores": 100 * event.amounts["cpu_cores"]}
            return _with(history, place, replace(event, amounts=amounts))
    return None


def licence_given_twice(history: History) -> History | None:
    """The pool has half of what it grants as a whole."""
    if any("licence" in event.amounts for _, event in _places(history, e.AllocationGranted)):
        for place, event in _places(history, e.PoolConfigured):
            return _with(history, place, replace(event, shared={"licence": 0.5}))
    return None


def fence_used_again(history: History) -> History | None:
    """Two grants have the same fence, and so have the attempts that run on them."""
    grants = [(p, event) for p, event in _of_executions(history, e.AllocationGranted) if not event.hands]
    used = [(p, event) for p, event in grants if _uses(history, event.allocation_id)]
    if len(used) < 2:
        return None
    (_, first), (place, second) = used[0], used[1]
    tampered = _with(history, place, replace(second, fence=first.fence))
    for use in _uses(history, second.allocation_id):
        tampered[use] = replace(tampered[use], event=replace(tampered[use].event, fence=first.fence))
    return tampered


def held_after_the_end(history: History) -> History | None:
    """An execution forgets to give back what it held, and ends."""
    for place, event in _places(history, e.AllocationReleased):
        if _uses(history, event.allocation_id):
            gone = [
                p
                for p, other in _places(history, e.AllocationSettled)
                if other == e.AllocationSettled(event.allocation_id)
            ]
            return _without(history, place, *gone)
    return None


def handed_on_too_often(history: History) -> History | None:
    """An execution hands an allocation on although its grant allowed no hand-on."""
    handed = {event.allocation_id for _, event in _places(history, e.AllocationHandedOn)}
    for place, event in _places(history, e.AllocationGranted):
        if event.allocation_id in handed:
            return _with(history, place, replace(event, hands=0, hands_until=0))
    return None


def reservation_used_twice(history: History) -> History | None:
    """A client uses a reservation that it has used before."""
    for place, event in _places(history, e.WorkerJoined):
        made = e.ReservationMade("r", "c", event.worker_id, {}, history[-1].at + 1_000)
        ended = e.ReservationEnded("r", "used")
        return _with(history, place, event, made, ended, ended)
    return None


def never_granted(history: History) -> History | None:
    """An attempt runs on an allocation that no pool has granted."""
    for place, event in _of_executions(history, e.AllocationGranted):
        if _uses(history, event.allocation_id):
            return _without(history, place)
    return None


def freed_while_running(history: History) -> History | None:
    """The pool frees what an attempt runs on."""
    for place, event in _of_executions(history, e.AllocationGranted):
        if uses := _uses(history, event.allocation_id):
            freed = replace(history[place], event=e.AllocationFreed(event.allocation_id, event.holder))
            return [*history[: uses[0] + 1], freed, *history[uses[0] + 1 :]]
    return None


def one_for_two(history: History) -> History | None:
    """Two attempts run on one allocation at once."""
    for place, event in _places(history, e.TaskScheduled):
        log = history[place].log
        for later in [p for p in range(place + 1, len(history)) if history[p].log == log]:
            other = history[later].event
            if getattr(other, "task_id", "") == event.task_id and not isinstance(other, e.TaskStarted):
                break
            if isinstance(other, e.TaskScheduled):
                return _with(history, later, replace(other, allocation_id=event.allocation_id))
    return None


def back_before_its_time(history: History) -> History | None:
    """The pool grants a lost worker's licence before the worker has surely stopped."""
    returns = [event for _, event in _places(history, e.SharedReturned)]
    returned = {event.fence for event in returns if not event.is_rate and not event.is_ended}
    fences = {event.allocation_id: event.fence for _, event in _places(history, e.AllocationGranted)}
    for place, event in _places(history, e.AllocationRevoked):
        if event.lease_ms and fences[event.allocation_id] in returned:
            return _with(history, place, replace(event, lease_ms=3_600_000))
    return None


def kept_from_a_lost_worker(history: History) -> History | None:
    """What stood on a lost worker is neither revoked nor freed."""
    for place, event in _places(history, e.AllocationRevoked):
        last = [
            p
            for p, other in _places(history, e.AllocationFreed)
            if other.allocation_id == event.allocation_id
        ]
        if last and _is_granted_once(history, event.allocation_id):
            return _without(history, place, *last)
    return None


def granted_to_nobody(history: History) -> History | None:
    """The pool grants something to an execution that is over, and nobody gives it back."""
    grants = list(_of_executions(history, e.AllocationGranted))
    lost = {(event.worker_id, event.incarnation) for _, event in _places(history, e.WorkerLost)}
    for place, event in grants:
        if (event.worker_id, event.incarnation) not in lost:
            fence = max(other.fence + other.hands for _, other in grants) + 1
            late = replace(history[-1], log=history[place].log, event=replace(event, fence=fence, amounts={}))
            return [*history, late]
    return None


def more_than_a_quota(history: History) -> History | None:
    """Tenants and executions have more than they may."""
    for place, event in _places(history, e.AllocationGranted):
        if event.agent_type and event.terms.limits:
            terms = replace(event.terms, limits={"slots": 0.5})
            return _with(history, place, replace(event, terms=terms))
    return None


def quota_forgotten(history: History) -> History | None:
    """The pool grants whatever the tenant has."""
    if any(event.agent_type for _, event in _places(history, e.AllocationGranted)):
        for place, event in _places(history, e.PoolConfigured):
            quota = {"slots": 0.5}
            return _with(history, place, replace(event, quotas=dict.fromkeys(("default", "a", "b"), quota)))
    return None


def gang_split(history: History) -> History | None:
    """The pool grants one member of a gang, and the others later."""
    for place, event in _places(history, e.GangGranted):
        first, *rest = event.grants
        return _with(history, place, replace(event, grants=(first,)), replace(event, grants=tuple(rest)))
    return None


LEAKS: dict[Leak, Kind] = {
    freed_dropped: Kind.SETTLED_UNRECORDED,
    granted_twice: Kind.DOUBLE_GRANT,
    more_than_there_is: Kind.OVER_CAPACITY,
    licence_given_twice: Kind.OVER_CAPACITY,
    fence_used_again: Kind.FENCE_REUSED,
    held_after_the_end: Kind.HELD_AFTER_END,
    handed_on_too_often: Kind.HAND_ON_BEYOND_GRANT,
    reservation_used_twice: Kind.RESERVATION_REUSED,
    never_granted: Kind.USED_UNGRANTED,
    freed_while_running: Kind.FREED_IN_USE,
    one_for_two: Kind.HELD_TWICE,
    back_before_its_time: Kind.RETURNED_EARLY,
    kept_from_a_lost_worker: Kind.STRANDED,
    granted_to_nobody: Kind.NOT_RETURNED,
    gang_split: Kind.GANG_SPLIT,
    more_than_a_quota: Kind.OVER_QUOTA,
    quota_forgotten: Kind.OVER_QUOTA,
}
"""Every leak, and what the auditor must call it."""
