"""What a pool has too little of for one request, and who has it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from talka_core.explanation.asking import Asking
from talka_core.explanation.picture import holding_of, listed, named, seconds, span
from talka_core.keys import counter_of, is_keyed, is_rate
from talka_core.resource.placement import shortage
from talka_core.resource.shared import capacity_of, free_of, own_of
from talka_core.resource.state import SLOTS, Amounts, WorkerEntry, slot_of, thousandths
from talka_protocols.explanations import Cause, CauseKind, Holding


def beyond_ceiling(asking: Asking) -> Iterator[Cause]:
    """Yield what no worker will ever offer, by what the pool was declared to have."""
    pool, request = asking.pool, asking.request
    remedy = "Ask for less, or declare and start workers that offer it; `talka cancel` gives it up."
    if pool.agent_types is not None and request.agent_type not in pool.agent_types:
        offered = listed(pool.agent_types)
        yield asking.cause(
            CauseKind.NEVER_FITS,
            f"Pool {pool.pool!r} was declared to serve {offered}, never {request.agent_type!r}.",
            remedy,
        )
    for name, amount in own_of(request.amounts, asking.shared).items():
        most = (pool.ceiling or {}).get(name)
        if most is not None and amount > most:
            sentence = (
                f"{name}: {amount:g} asked, and no worker of the pool will ever have more than {most:g}."
            )
            yield asking.cause(CauseKind.NEVER_FITS, sentence, remedy, resource=name)
    for name, amount in asking.shared.items():
        if amount > (most := capacity_of(pool, name)):
            sentence = f"{name}: {amount / 1000:g} asked, and the whole pool has {most / 1000:g}."
            yield asking.cause(CauseKind.NEVER_FITS, sentence, remedy, resource=name)


def pool_wide(asking: Asking) -> Iterator[Cause]:
    """Yield the licences, mutexes and limits of keys that are used up, and by whom."""
    pool = asking.pool
    for name, amount in asking.shared.items():
        if free_of(pool, name) >= amount or amount > capacity_of(pool, name):
            continue
        holders = _shared_holders(asking, name)
        until = min((h.until for h in holders if h.until is not None), default=None)
        if is_rate(name):
            kind, remedy = CauseKind.RATE_LIMIT, "Time: the oldest start stops counting."
        elif is_keyed(name):
            kind, remedy = CauseKind.KEY_LIMIT, "The end of one of them, or a higher limit of the key."
        else:
            kind, remedy = CauseKind.POOL_WIDE, "The end of one of them, or more of it for the pool."
        said = shortage(pool, asking.request.agent_type, {name: amount / 1000})
        when = f" The next one comes back in {_left(asking, until)}." if until is not None else ""
        yield asking.cause(
            kind,
            f"{said} Held by {_who(holders)}.{when}",
            remedy,
            resource=counter_of(name),
            short=(amount - max(0, free_of(pool, name))) / 1000,
            holders=holders,
            until=until,
        )


def unserved(asking: Asking) -> Iterator[Cause]:
    """Yield that nobody serves the agent type, and whether somebody did who is gone."""
    if asking.serving:
        return
    pool, agent_type = asking.pool, asking.request.agent_type
    record = asking.subject.state.tasks[asking.subject.task_id]
    said = shortage(pool, agent_type, {})
    gone = f" Lost and not back: {listed(sorted(pool.lost))}." if pool.lost else ""
    if record.lost:
        # The last worker that ran it is still named on the record.
        yield asking.cause(
            CauseKind.WORKER_LOST,
            f"Worker {record.worker_id}, which ran attempt {record.attempt - 1}, is gone; nobody else can.",
            f"Worker {record.worker_id} comes back, or another that serves {agent_type!r} starts.",
            worker_id=record.worker_id,
        )
    yield asking.cause(
        CauseKind.NO_WORKER, f"{said}{gone}", f"Start a worker that serves {agent_type!r} in this pool."
    )


def draining(asking: Asking) -> Iterator[Cause]:
    """Yield the workers that could run it but take nothing new."""
    leaving = [w for w, entry in asking.serving.items() if entry.is_draining]
    if not leaving or asking.nearest is not None:
        return
    yield asking.cause(
        CauseKind.DRAINING,
        f"{listed(leaving)} {'serves' if len(leaving) == 1 else 'serve'} {asking.request.agent_type!r}, "
        "but is draining and takes nothing new.",
        "Start another worker.",
        worker_id=leaving[0],
    )


def on_workers(asking: Asking) -> Iterator[Cause]:
    """Yield what is short on the worker that lacks the least, or that none is large enough."""
    nearest = asking.nearest
    if nearest is None:
        yield from _too_large(asking)
        return
    worker_id, entry = nearest
    for name, lack in asking.lacks(entry).items():
        reserved = _reserved(asking, worker_id, name)
        claimed = asking.claim(entry)[name]
        kind = CauseKind.SLOTS if name.startswith(SLOTS) else CauseKind.RESOURCE
        if lack <= sum(thousandths({name: h.amount})[name] for h in reserved):
            kind = CauseKind.RESERVATION
        holders = (*reserved, *_holders(asking, worker_id, entry, name))
        free = max(0, entry.free.get(name, 0))
        what = "slots" if kind is CauseKind.SLOTS and name == SLOTS else name
        until = min((h.until for h in reserved if h.until is not None), default=None)
        yield asking.cause(
            kind,
            f"{what}: {claimed / 1000:g} asked; nearest is worker {worker_id} with {free / 1000:g} free"
            f" of {entry.capacity.get(name, 0) / 1000:g}. Held by {_who(holders)}.",
            "The end of one of them, or another worker.",
            resource=name,
            short=lack / 1000,
            worker_id=worker_id,
            holders=holders,
            until=until if kind is CauseKind.RESERVATION else None,
        )


def _too_large(asking: Asking) -> Iterator[Cause]:
    if not asking.open:
        return
    largest: Amounts = {}
    for entry in asking.open.values():
        for name, amount in entry.capacity.items():
            largest[name] = max(largest.get(name, 0), amount)
    wanted = thousandths(own_of(asking.request.amounts, asking.shared))
    short = [name for name, amount in wanted.items() if largest.get(name, 0) < amount]
    for name in short:
        yield asking.cause(
            CauseKind.TOO_LARGE,
            f"{name}: {wanted[name] / 1000:g} asked, the largest worker has {largest.get(name, 0) / 1000:g}.",
            f"A worker with {name} {wanted[name] / 1000:g} or more joins, or the task asks for less.",
            resource=name,
        )
    if not short:
        asked = ", ".join(f"{name} {amount / 1000:g}" for name, amount in wanted.items())
        yield asking.cause(
            CauseKind.TOO_LARGE,
            f"No worker is large enough for all of it at once: {asked}.",
            "A worker that has all of it joins, or the task asks for less.",
        )


def _holders(asking: Asking, worker_id: str, entry: WorkerEntry, name: str) -> list[Holding]:
    found: list[Holding] = []
    for grant in asking.pool.grants.values():
        if grant.worker_id != worker_id or grant.incarnation != entry.incarnation:
            continue
        is_for_slots = name in (SLOTS, slot_of(grant.agent_type))
        amount = 1.0 if is_for_slots else grant.amounts.get(name, 0.0)
        if amount > 0:
            found.append(holding_of(grant, amount))
    return sorted(found, key=lambda h: -h.amount)


def _reserved(asking: Asking, worker_id: str, name: str) -> list[Holding]:
    return [
        Holding(
            r.amounts[name],
            client_id=r.client_id,
            reservation_id=reservation_id,
            worker_id=worker_id,
            until=seconds(r.expires_at),
        )
        for reservation_id, r in asking.pool.reservations.items()
        if r.worker_id == worker_id and r.amounts.get(name, 0) > 0
    ]


def _shared_holders(asking: Asking, name: str) -> tuple[Holding, ...]:
    pool, counter = asking.pool, counter_of(name)
    found = [
        holding_of(grant, _counted(grant.shared, counter) / 1000)
        for grant in pool.grants.values()
        if not grant.is_revoked and _counted(grant.shared, counter)
    ]
    for reservation_id, r in pool.reservations.items():
        if amount := _counted(r.shared, counter):
            found.append(
                Holding(
                    amount / 1000,
                    client_id=r.client_id,
                    reservation_id=reservation_id,
                    until=seconds(r.expires_at),
                )
            )
    by_fence = {str(grant.fence): grant for grant in pool.grants.values()}
    for key, held in pool.held_back.items():
        if amount := _counted(held.amounts, counter):
            grant = by_fence.get(key.removeprefix("rate-"))
            holder = holding_of(grant, amount / 1000) if grant else Holding(amount / 1000)
            found.append(replace(holder, until=seconds(held.due_at)))
    return tuple(found)


def _counted(amounts: Amounts, counter: str) -> int:
    return sum(amount for name, amount in amounts.items() if counter_of(name) == counter)


def _who(holders: tuple[Holding, ...]) -> str:
    return listed(f"{named(h)} ({h.amount:g})" for h in holders) or "nobody"


def _left(asking: Asking, until: float) -> str:
    return span(round(until * 1000) - asking.subject.picture.now_ms)
