"""The invariants of states by label: S1 to S3 of an execution, R1 to R4, R6, R7 of a pool, X1 of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from talka_chaos.gangs import check_gangs
from talka_chaos.tenancy import check_accounts
from talka_chaos.turns import check_turns, check_waiting
from talka_core.keys import counter_of
from talka_core.resource import PoolRecord
from talka_core.resource.accounts import has_room
from talka_core.resource.fairness import Shares
from talka_core.resource.placement import claim_of, need_of, place
from talka_core.resource.shared import free_of, own_of
from talka_core.roster import RosterRecord
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.joins import Verdict, verdict
from talka_protocols import events as e
from talka_protocols.states import (
    ACTIVE_TASK_STATUSES,
    EXECUTION_TRANSITIONS,
    FINAL_EXECUTION_STATES,
    FINAL_TASK_STATUSES,
    TASK_TRANSITIONS,
    ExecutionState,
    TaskStatus,
)

LIVE = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)
_UNTOUCHED = (
    TaskStatus.PENDING,
    TaskStatus.SKIPPED,
    TaskStatus.CANCELLED,
    TaskStatus.COMPENSATED,
)
SETTLEMENTS = (
    e.AllocationSettled,
    e.HandOnSettled,
    e.AllocationReleased,
    e.PermitWithdrawn,
    e.RequestRefused,
    e.ParentInformed,
)
REOPENINGS = (e.RollbackStarted, e.ExecutionRestarted, e.ExecutionResumed)


def check_execution(state: ExecutionRecord) -> None:
    """S1 dependencies first; S2 the count of active tasks and its limit; S3 one holder an allocation."""
    undone = frozenset(state.rollback.tasks if state.rollback else ()).union(
        *(state.index.groups[group] for group in state.broken)
    )
    for task_id, record in state.tasks.items():
        # A join that needs but some may have begun before one of them was undone.
        is_shaken = task_id in state.index.joins and not undone.isdisjoint(state.index.predecessors[task_id])
        # A fork takes over one task after the other, in the order of the definition.
        if state.adopting or is_shaken:
            continue
        if record.status not in _UNTOUCHED and task_id not in undone:
            needed = [state.tasks[need].status for need in state.index.predecessors[task_id]]
            is_met = verdict(state, task_id) is Verdict.START
            assert is_met, f"S1 {task_id} is {record.status} while what it needs is {needed}"
    active = sum(record.status in ACTIVE_TASK_STATUSES for record in state.tasks.values())
    assert state.active == active, f"S2 active is {state.active}, not {active}"
    queued = sum(record.status is TaskStatus.QUEUED for record in state.tasks.values())
    assert state.queued == queued, f"S2 queued is {state.queued}, not {queued}"
    limit = state.workflow.config.max_parallel if state.workflow else None
    assert limit is None or active <= limit, f"S2 {active} tasks are active at a limit of {limit}"
    unfinished = sum(record.status not in FINAL_TASK_STATUSES for record in state.tasks.values())
    assert state.unfinished == unfinished, f"S2 unfinished is {state.unfinished}, not {unfinished}"
    ready = sorted(
        task_id
        for task_id, record in state.tasks.items()
        if record.status is TaskStatus.READY and not record.is_paused
    )
    assert sorted(task_id for _, task_id in state.ready) == ready, "S2 the ready queue differs"
    held = Counter(record.allocation_id for record in state.tasks.values() if record.allocation_id)
    assert all(count == 1 for count in held.values()), f"S3 held more than once: {held}"
    for task_id, record in state.tasks.items():
        found = state.holder_of(record.allocation_id) if record.allocation_id else task_id
        assert found == task_id, f"S3 {task_id} holds {record.allocation_id}, which {found} is taken to hold"
    for allocation_id, kept in state.kept.items():
        holds = state.tasks[kept.task_id].allocation_id
        assert holds == allocation_id, (
            f"S3 {kept.task_id} holds {holds!r} and not {allocation_id}, which is kept"
        )
    assert not held.keys() & state.returning.keys(), "S3 an allocation is held and on its way back"


def check_strays(state: ExecutionRecord) -> None:
    """S3 nothing is held by a task that is not active, and T1, once a commit is whole."""
    idle = [
        task_id
        for task_id, record in state.tasks.items()
        if record.allocation_id
        and record.status not in ACTIVE_TASK_STATUSES
        and record.allocation_id not in state.kept
    ]
    assert not idle, f"S3 tasks that are not active hold something: {idle}"
    check_turns(state)


def check_pool(state: PoolRecord, *, is_whole: bool = True) -> None:
    """R1, R4 nothing lost or made; R2 fences unique and below the next; R3 grants stand on live workers.

    R3 and R6 hold once a commit is whole: a large one may be stored in parts.
    """
    fences: set[int] = set()
    for worker_id, entry in state.workers.items():
        used: Counter[str] = Counter()
        for grant in state.grants.values():
            if grant.worker_id == worker_id and grant.incarnation == entry.incarnation:
                used.update(claim_of(entry, grant.agent_type, own_of(grant.amounts, grant.shared)))
        for reservation in state.reservations.values():
            if reservation.worker_id == worker_id:
                used.update(claim_of(entry, "", own_of(reservation.amounts, reservation.shared)))
        for name, capacity in entry.capacity.items():
            free = entry.free[name]
            assert free >= 0, f"R1 {worker_id} has {free} thousandths of {name} free"
            assert free + used[name] == capacity, (
                f"R1 {worker_id} {name}: {free} + {used[name]} != {capacity}"
            )
    for allocation_id, grant in state.grants.items():
        assert grant.fence < state.next_fence, f"R2 {allocation_id} has a fence of the future"
        assert grant.fence not in fences, f"R2 the fence of {allocation_id} is used twice"
        fences.add(grant.fence)
        on = state.workers.get(grant.worker_id)
        is_standing = on is not None and on.incarnation == grant.incarnation
        assert is_standing or grant.is_revoked or not is_whole, (
            f"R3 {allocation_id} stands on a worker that is gone"
        )
    check_shared(state)
    check_accounts(state)
    check_breakers(state, is_whole=is_whole)
    if is_whole:
        check_queue(state)
    assert sorted(place[2] for q in state.queues.values() for place in q) == sorted(state.waiting), (
        "R1 the queues hold other requests than those that wait"
    )


def check_queue(state: PoolRecord) -> None:
    """R6 nothing keeps the best of those that wait from being granted but a lack of resources."""
    # Where something is booked, whoever fits may have to leave it alone.
    if state.queues and not state.bookings:
        heads = [(queue[0], state.waiting[queue[0][2]]) for queue in state.queues.values()]
        shares = Shares(state, (request.terms.tenant for _, request in heads))
        let = [entry for entry in heads if has_room(state, entry[1]) and not entry[1].terms.gang]
        check_gangs(state)
        if not let:
            return
        (_, _, allocation_id), request = min(
            let, key=lambda entry: (shares.of(entry[1].terms.tenant), entry[0])
        )
        worker_id = place(state, need_of(state, request.agent_type, request.amounts), request.affinity)
        assert worker_id is None, f"R6 {allocation_id} waits at the head, and {worker_id} could take it"


def check_fences(state: PoolRecord, fences: dict[str, int]) -> None:
    """R2 the fence of an allocation only grows; ``fences`` remembers the newest of each."""
    for allocation_id, grant in state.grants.items():
        newest = fences.get(allocation_id, 0)
        assert grant.fence >= newest, f"R2 {allocation_id} went from fence {newest} back to {grant.fence}"
        fences[allocation_id] = grant.fence


def _counted(shared: dict[str, int]) -> dict[str, int]:
    return {counter_of(name): amount for name, amount in shared.items()}


def check_shared(state: PoolRecord) -> None:
    """R4 what is used of pool-wide amounts is held by somebody or held back, and no more than there is."""
    used: Counter[str] = Counter()
    for grant in state.grants.values():
        if not grant.is_revoked:
            used.update(_counted(grant.shared))
    for reservation in state.reservations.values():
        used.update(_counted(reservation.shared))
    for held in state.held_back.values():
        used.update(_counted(held.amounts))
    assert state.shared_used == +used, f"R4 {state.shared_used} is used, and {dict(used)} is held"
    for name in state.shared:
        assert free_of(state, name) >= 0, f"R4 {free_of(state, name)} thousandths of {name} are free"


def check_breakers(state: PoolRecord, *, is_whole: bool) -> None:
    """R5 what has counted enough is open or closed, and then nothing of it is handed on; probes are few.

    The first two hold once a commit is whole.
    """
    for agent_type, circuit in state.circuits.items():
        rule = state.breakers[agent_type]
        permitted = [a for a, grant in state.grants.items() if grant.agent_type == agent_type and grant.hands]
        probes = len(circuit.probes) + circuit.successes
        if circuit.phase == "half_open":
            together = {state.grants[a].terms.gang for a in circuit.probes}
            # A gang tries it as a whole, and the first of it to succeed may be gone.
            is_gang = not together or (len(together) == 1 and "" not in together)
            is_few = probes <= rule.probes or is_gang
            assert is_few, f"R5 {agent_type} is tried {probes} times, not {rule.probes}"
            is_decided = circuit.has_failed or circuit.successes >= rule.probes
            assert not (is_whole and is_decided), f"R5 {agent_type} stays half open after its probes"
        if is_whole and circuit.phase != "closed":
            assert not permitted, f"R5 {permitted} may be handed on while {agent_type} is {circuit.phase}"
        is_worn = circuit.phase == "closed" and len(circuit.failures) >= rule.failures
        assert not (is_whole and is_worn), f"R5 {agent_type} stays closed after {circuit.failures}"


def check_roster(roster: RosterRecord | None, key: str) -> None:
    """X2 an owner that goes on with a log knows it as live, so that the next one finds it."""
    assert roster is not None, f"X2 {key} is written to, and its shard has no roster"
    assert key in roster.live, f"X2 {key} is written to, and no takeover would find it"


def check_held(execution: ExecutionRecord, pool: PoolRecord) -> None:
    """X1 the pool has granted, just so and there, whatever a live task of the execution holds; T2."""
    for task_id, record in execution.tasks.items():
        if record.status in LIVE:
            grant = pool.grants.get(record.allocation_id)
            assert grant is not None, f"X1 {task_id} runs on {record.allocation_id}, which the pool has not"
            granted = (grant.worker_id, grant.incarnation)
            assert granted == (record.worker_id, record.incarnation), (
                f"X1 {task_id} runs on {record.worker_id} {record.incarnation}, and {granted} was granted"
            )
            assert grant.fence <= record.fence, f"X1 {task_id} runs under an older fence than was granted"
            needs = execution.index.amounts[task_id]
            assert grant.amounts == needs, f"X1 {task_id} needs {needs}, and {grant.amounts} was granted"
    check_waiting(execution, pool)


Statuses = tuple[ExecutionState | None, dict[str, TaskStatus]]


def statuses_of(state: Any) -> Statuses | None:
    """Return the statuses of an execution and its tasks; None of any other state."""
    if not isinstance(state, ExecutionRecord):
        return None
    return state.status, {task_id: record.status for task_id, record in state.tasks.items()}


def check_transition(before: Statuses | None, state: Any, events: Iterable[Any]) -> None:
    """S4 the execution's status moved as its table allows, and after its end only settlements follow."""
    if before is None:
        return
    was, tasks = before
    events = list(events)
    if any(isinstance(event, e.ExecutionArchived) for event in events):
        # Its tasks lie in the archive, and what stays of it is that fact.
        assert was in FINAL_EXECUTION_STATES, f"S4 archived before its end: {was}"
        return
    is_reopened = any(isinstance(event, REOPENINGS) for event in events)
    if was in FINAL_EXECUTION_STATES and not is_reopened:
        late = [event for event in events if not isinstance(event, SETTLEMENTS)]
        assert not late, f"S4 after the end: {late}"
    if is_reopened or state.is_rolling_back or was is ExecutionState.ROLLING_BACK:
        return
    for task_id, status in tasks.items():
        if status in FINAL_TASK_STATUSES:
            now = state.tasks[task_id].status
            assert now in (status, TaskStatus.COMPENSATING, TaskStatus.COMPENSATED), (
                f"S4 the outcome of {task_id} changed from {status} to {now}"
            )


def check_event(before: Statuses, state: ExecutionRecord, event: Any) -> None:
    """S5 one event moves statuses only along the tables."""
    was, tasks = before
    for task_id, status in tasks.items():
        record = state.tasks.get(task_id)
        if record is None:
            continue
        now = record.status
        is_allowed = now is status or now in TASK_TRANSITIONS.get(status, frozenset())
        assert is_allowed, f"S5 {event}: {task_id} went from {status} to {now}"
    if was is not None and state.status is not was:
        allowed = EXECUTION_TRANSITIONS.get(was, frozenset())
        assert state.status in allowed, f"S5 {event}: the execution went from {was} to {state.status}"
