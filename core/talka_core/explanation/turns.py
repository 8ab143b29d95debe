"""What a ready task waits for before the pool is even asked: its turn under the execution's own limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from talka_core.explanation.picture import Subject, listed, seconds
from talka_core.scheduler.dispatch import is_held
from talka_core.scheduler.gangs import is_at_hand, is_incomplete, peers_of
from talka_protocols.explanations import Cause, CauseKind, Holding
from talka_protocols.states import ACTIVE_TASK_STATUSES, FINAL_TASK_STATUSES

_ITEM = re.compile(r"(.+)\[(\d+)\]\Z", re.DOTALL)


def ready(subject: Subject) -> Iterator[Cause]:
    """Yield why a ready task has not asked for its resources."""
    state, record = subject.state, subject.state.tasks[subject.task_id]
    limit = state.workflow.config.max_parallel if state.workflow else None
    if is_incomplete(state, subject.task_id):
        peers = [peer for peer in peers_of(state, subject.task_id) if not is_at_hand(state.tasks[peer])]
        yield subject.cause(
            CauseKind.GANG,
            f"It is asked for together with the rest of its gang, and of that {listed(peers)} "
            f"{'is' if len(peers) == 1 else 'are'} not ready.",
            "What they wait for; a member that is paused is resumed by `talka resume ID TASK`.",
            chain=(subject.task_id, peers[0]),
            since=seconds(record.ready_at),
        )
        return
    if is_held(state, subject.task_id):
        linked = [
            task_id
            for task_id in state.index.links.get(subject.task_id, ())
            if state.tasks[task_id].status not in FINAL_TASK_STATUSES
        ]
        yield subject.cause(
            CauseKind.BASELINE,
            f"By the baseline schedule it takes over the resources of {listed(linked)}.",
            "The end of them; when something goes another way than planned, it no longer waits for that.",
            chain=(subject.task_id, linked[0]),
            since=seconds(record.ready_at),
        )
        return
    if limit is None or state.active < limit:
        yield subject.cause(
            CauseKind.NOT_DECIDED,
            "It is ready, and the scheduler has not asked for its resources yet.",
            "The next decision of the execution's scheduler; check that the scheduler service runs.",
            since=seconds(record.ready_at),
        )
        return
    active = [t for t, other in state.tasks.items() if other.status in ACTIVE_TASK_STATUSES]
    ahead = [t for rank, t in sorted(state.ready) if (rank, t) < (record.rank, subject.task_id)]
    behind = f"; {len(ahead)} better-ranked go first: {listed(ahead)}" if ahead else ""
    holders = tuple(
        Holding(1.0, state.execution_id, t, state.tasks[t].attempt, worker_id=state.tasks[t].worker_id)
        for t in active
    )
    yield subject.cause(
        CauseKind.PARALLEL_LIMIT,
        f"The workflow runs at most {limit} tasks at once, and these are active: {listed(active)}{behind}.",
        "The end of one of them, or a higher max_parallel.",
        short=1.0,
        holders=holders,
        since=seconds(record.ready_at),
    )


def item_to_come(subject: Subject) -> Cause | None:
    """Return why an item of a map is no task yet; None if the id names no item to come."""
    state = subject.state
    found = _ITEM.match(subject.task_id)
    map_id, index = (found[1], int(found[2])) if found else ("", 0)
    if map_id not in state.tasks or state.index.tasks[map_id].map is None:
        return None
    make = partial(subject.cause, CauseKind.MAP_LIMIT, remedy="The end of an earlier item.")
    progress = state.maps.get(map_id)
    if progress is None and state.tasks[map_id].status not in FINAL_TASK_STATUSES:
        return make(
            sentence=f"It would be an item of the map {map_id!r}, which has not begun.",
            chain=(subject.task_id, map_id),
        )
    if progress is None or index >= progress.items or state.tasks[map_id].status in FINAL_TASK_STATUSES:
        return None
    rule = state.index.tasks[map_id].map
    items = [t for t in state.index.items.get(map_id, ()) if state.tasks[t].status not in FINAL_TASK_STATUSES]
    return make(
        sentence=f"The map {map_id!r} runs at most {rule.max_parallel if rule else None} items at once, and "
        f"{listed(items)} have not ended; {progress.added} of {progress.items} are tasks so far.",
        chain=(subject.task_id, items[0]) if items else (),
    )
