"""What a pending task waits for, followed down to what is really in the way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from talka_core.explanation.picture import Subject, listed
from talka_core.scheduler import ExecutionRecord, TaskRecord
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.state import PARKED
from talka_protocols.explanations import Cause, CauseKind
from talka_protocols.policies import Join
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus

LINKS_MAX = 6
"""How many links of a chain a sentence names."""

_STUCK = (
    TaskStatus.QUEUED,
    TaskStatus.READY,
    TaskStatus.RETRYING,
    TaskStatus.PENDING,
    TaskStatus.COMPENSATING,
    TaskStatus.SCHEDULED,
    TaskStatus.RUNNING,
)
"""Of several that are waited for, the one that is farthest from its end is named first."""


def pending(subject: Subject) -> Iterator[Cause]:
    """Yield what the task waits for; the last of the cause's ``chain`` is what is really in the way."""
    state, task_id = subject.state, subject.task_id
    unfinished = unfinished_needs(state, task_id)
    if not unfinished:
        yield subject.cause(
            CauseKind.NOT_DECIDED,
            f"All that {task_id!r} needs has ended; the scheduler has not decided about it yet.",
            "The next decision of the execution's scheduler; check that the scheduler service runs.",
        )
        return
    chain = _chain(state, task_id)
    behind = _described(state, chain)
    condition = state.index.conditions.get(task_id)
    looked_at = {mention.task_id for mention in condition.mentions} if condition else set[str]()
    if condition is not None and looked_at & set(unfinished):
        waited = listed(t for t in unfinished if t in looked_at)
        sentence = f"Its condition {condition.expression!r} is decided when {waited} has ended; {behind}."
        yield subject.cause(CauseKind.CONDITION, sentence, _remedy(chain), chain=chain)
    elif task_id in state.index.joins:
        yield subject.cause(
            CauseKind.JOIN, f"{_tally(state, task_id)}; {behind}.", _remedy(chain), chain=chain
        )
    else:
        more = f" (and for {listed(t for t in unfinished if t != chain[1])})" if len(unfinished) > 1 else ""
        sentence = f"It waits for {chain[1]!r}{more}: {behind}."
        yield subject.cause(CauseKind.DEPENDENCY, sentence, _remedy(chain), chain=chain)


def unfinished_needs(state: ExecutionRecord, task_id: str) -> list[str]:
    """Return those of a task's dependencies that have not ended."""
    needed = state.index.predecessors[task_id]
    return [n for n in needed if state.tasks[n].status not in FINAL_TASK_STATUSES]


def most_stuck(state: ExecutionRecord) -> str:
    """Return the task that an execution waits for most of all; empty if all have ended."""
    open_ = [t for t, record in state.tasks.items() if record.status not in FINAL_TASK_STATUSES]
    begun = [t for t in open_ if state.tasks[t].status is not TaskStatus.PENDING] or open_
    return min(begun, key=lambda t: _stuckness(state.tasks[t]), default="")


def _chain(state: ExecutionRecord, task_id: str) -> tuple[str, ...]:
    """Return the shortest chain from the task to the one most stuck among all that it waits for.

    Under a join that does not need all of them, it is the one least stuck.
    """
    came_from = dict.fromkeys(unfinished_needs(state, task_id), task_id)
    ends: list[str] = []
    frontier = list(came_from)
    for waited in frontier:
        further = unfinished_needs(state, waited) if state.tasks[waited].status is TaskStatus.PENDING else []
        if not further:
            ends.append(waited)
        for need in further:
            if need not in came_from:
                came_from[need] = waited
                frontier.append(need)
    takes_all = state.index.joins.get(task_id, Join.DONE) is Join.DONE
    end = (min if takes_all else max)(ends, key=lambda t: _stuckness(state.tasks[t]))
    chain = [end]
    while chain[-1] != task_id:
        chain.append(came_from[chain[-1]])
    return tuple(reversed(chain))


def _stuckness(record: TaskRecord) -> int:
    if record.is_paused or (record.status is TaskStatus.WAITING and record.waiting == PARKED):
        return -2
    return -1 if record.status is TaskStatus.WAITING else _STUCK.index(record.status)


def _described(state: ExecutionRecord, chain: tuple[str, ...]) -> str:
    links = [f"{waits!r} waits for {need!r}" for waits, need in pairwise(chain[1:])]
    if len(links) > LINKS_MAX:
        links[LINKS_MAX - 1 : -1] = ["..."]
    record = state.tasks[chain[-1]]
    shown = f"{record.status.value}, paused" if record.is_paused else record.status.value
    return ", ".join([*links, f"{chain[-1]!r} is {shown}"])


def _tally(state: ExecutionRecord, task_id: str) -> str:
    needed = [state.tasks[need] for need in state.index.predecessors[task_id]]
    join = state.index.joins[task_id]
    waited = listed(unfinished_needs(state, task_id))
    if join is Join.DONE:
        ended = sum(record.status in FINAL_TASK_STATUSES for record in needed)
        return (
            f"It starts when all {len(needed)} that it needs have ended, {ended} have; it waits for {waited}"
        )
    least = 1 if isinstance(join, Join) else join
    met = sum(map(is_satisfied, needed))
    return f"It starts when {least} of {len(needed)} have succeeded, {met} have; it waits for {waited}"


def _remedy(chain: tuple[str, ...]) -> str:
    return f"The end of task {chain[-1]!r}."
