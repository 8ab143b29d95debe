"""When a task is expected to start: at the earliest estimated end of what is in its way.

Nothing is simulated. An attempt takes its task's estimate; those that go first in
a queue take their work over all that their pool has of what is short. Where an
answer of a person or a worker that nobody has started is needed, nothing is expected.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from talka_core.explanation.dependencies import unfinished_needs
from talka_core.explanation.holds import holds
from talka_core.explanation.lines import Lines
from talka_core.explanation.picture import Picture, Subject, span
from talka_core.explanation.requests import asking_of, obstacles
from talka_core.explanation.turns import ready
from talka_core.graph import duration_of
from talka_core.scheduler import ExecutionRecord, TaskRecord
from talka_core.scheduler.joins import is_satisfied
from talka_core.scheduler.waiting import WAIT, WORKFLOW
from talka_protocols.explanations import Cause, CauseKind, Holding
from talka_protocols.policies import Join
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus

_FREED = frozenset(
    {
        CauseKind.RESOURCE,
        CauseKind.SLOTS,
        CauseKind.KEY_LIMIT,
        CauseKind.POOL_WIDE,
        CauseKind.QUOTA,
        CauseKind.EXECUTION_LIMIT,
    }
)
_TIMED = frozenset({CauseKind.RATE_LIMIT, CauseKind.RESERVATION, CauseKind.BREAKER, CauseKind.HELD})
_SOON = frozenset({CauseKind.NOT_DECIDED, CauseKind.NOT_DISPATCHED, CauseKind.NOT_REQUESTED})
_UNSTARTED = frozenset({TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED, TaskStatus.RETRYING})
DEPTH_MAX = 8


class Instant(Struct, frozen=True, order=True):
    """When something is expected (Unix milliseconds), and the task whose end that is."""

    at: int
    after: str = ""


_Known = dict[tuple[str, str], Instant | None]


def expected_start(subject: Subject) -> tuple[float | None, str]:
    """Return when an unstarted task is expected to start (Unix seconds), and a sentence; None if unknown."""
    if subject.state.tasks[subject.task_id].status not in _UNSTARTED:
        return None, ""
    found = _Forecast(subject.picture).start(subject.state, subject.task_id, 0)
    if found is None:
        return None, "Nobody can tell when it will start."
    after = f", after {found.after} has ended by its estimate" if found.after else ""
    wait = found.at - subject.picture.now_ms
    when = f"in about {span(wait)}" if wait > 0 else "at any moment"
    return found.at / 1000, f"Expected to start {when}{after}."


class _Forecast:
    """Estimates of one picture, each made once."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._starts: _Known = {}
        self._free: _Known = {}
        self._lines = Lines(picture)

    def start(self, state: ExecutionRecord, task_id: str, depth: int) -> Instant | None:
        """Return when a task that has not started is expected to, what it needs first."""
        for name in _in_order(state, task_id):
            key = (state.execution_id, name)
            if key not in self._starts:
                self._starts[key] = None
                self._starts[key] = self._start(state, name, depth)
        return self._starts[state.execution_id, task_id]

    def end(self, state: ExecutionRecord, task_id: str, depth: int = 0) -> Instant | None:
        """Return when a task is expected to have ended."""
        record, now_ms = state.tasks[task_id], self._picture.now_ms
        named = f"{state.execution_id}/{task_id}"
        if record.status in FINAL_TASK_STATUSES:
            return Instant(record.finished_at, named)
        if record.status is TaskStatus.WAITING:
            return self._end_of_wait(state, task_id, depth)
        task_ms = round(1000 * duration_of(state.index.tasks[task_id]))
        if record.status in (TaskStatus.RUNNING, TaskStatus.SCHEDULED):
            return Instant(max(now_ms, (record.started_at or now_ms) + task_ms), named)
        key = (state.execution_id, task_id)
        if key not in self._starts and depth < DEPTH_MAX:
            self.start(state, task_id, depth + 1)
        start = self._starts.get(key)
        return None if start is None else Instant(start.at + task_ms, named)

    def _start(self, state: ExecutionRecord, task_id: str, depth: int) -> Instant | None:
        subject, record = Subject(self._picture, state, task_id), state.tasks[task_id]
        if next(holds(subject), None) is not None:
            return None
        match record.status:
            case TaskStatus.PENDING:
                return self._after_needs(state, task_id, depth)
            case TaskStatus.RETRYING:
                return Instant(max(self._picture.now_ms, record.due_at))
            case TaskStatus.READY:
                return self._after(ready(subject), depth)
            case TaskStatus.QUEUED:
                return self._after_turn(subject, depth)
            case _:
                return None

    def _after_turn(self, subject: Subject, depth: int) -> Instant | None:
        """Return when a queued task's resources are free and those in front have had their turn."""
        asking = asking_of(subject)
        if asking is None:
            return self._after(obstacles(subject), depth)
        key = (asking.pool.pool, asking.request.shape)
        if key not in self._free:
            self._free[key] = None
            self._free[key] = self._after(obstacles(subject), depth)
        free = self._free[key]
        if free is None:
            return None
        return Instant(free.at + round(1000 * self._lines.before_s(asking)), free.after)

    def _after_needs(self, state: ExecutionRecord, task_id: str, depth: int) -> Instant | None:
        """Return when what the task needs will have ended: all of it, or as much as its join asks for."""
        join = state.index.joins.get(task_id, Join.ALL)
        if join in (Join.ALL, Join.DONE):
            ends = [self.end(state, need, depth) for need in unfinished_needs(state, task_id)]
            known = [end for end in ends if end is not None]
            return max(known, default=Instant(self._picture.now_ms)) if len(known) == len(ends) else None
        least = 1 if isinstance(join, Join) else join
        needs = [n for n in state.index.predecessors[task_id] if not _is_lost(state.tasks[n])]
        known = sorted(end for need in needs if (end := self.end(state, need, depth)) is not None)
        return known[least - 1] if len(known) >= least else None

    def _after(self, causes: Iterable[Cause], depth: int) -> Instant | None:
        """Return when the last of several obstacles will be out of the way."""
        ends: list[Instant] = []
        for cause in causes:
            end = self._end_of(cause, depth)
            if end is None:
                return None
            ends.append(end)
        return max(ends, default=None)

    def _end_of(self, cause: Cause, depth: int) -> Instant | None:
        if cause.kind in _SOON:
            return Instant(self._picture.now_ms)
        if cause.kind in _TIMED and cause.until is not None:
            return Instant(round(cause.until * 1000))
        if cause.kind in (CauseKind.BASELINE, CauseKind.GANG) and cause.chain and depth < DEPTH_MAX:
            state = self._picture.executions[cause.execution_id]
            return self.end(state, cause.chain[-1], depth + 1)
        if cause.kind not in (*_FREED, CauseKind.PARALLEL_LIMIT) or depth >= DEPTH_MAX:
            return None
        freed, known = 0.0, [(end, h.amount) for h in cause.holders if (end := self._end_of_hold(h, depth))]
        for end, amount in sorted(known):
            freed += amount
            if freed >= cause.short:
                return end
        return None

    def _end_of_hold(self, holding: Holding, depth: int) -> Instant | None:
        if holding.until is not None:
            return Instant(round(holding.until * 1000))
        state = self._picture.executions.get(holding.execution_id)
        if state is None or holding.task_id not in state.tasks:
            return None
        return self.end(state, holding.task_id, depth + 1)

    def _end_of_wait(self, state: ExecutionRecord, task_id: str, depth: int) -> Instant | None:
        record = state.tasks[task_id]
        if record.waiting == WAIT:
            return Instant(max(self._picture.now_ms, record.due_at), f"{state.execution_id}/{task_id}")
        child = self._picture.executions.get(record.awaited) if record.waiting == WORKFLOW else None
        if child is None or not child.tasks or depth >= DEPTH_MAX:
            return None
        ends = [self.end(child, name, depth + 1) for name in child.tasks]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None


def _is_lost(record: TaskRecord) -> bool:
    return record.status in FINAL_TASK_STATUSES and not is_satisfied(record)


def _in_order(state: ExecutionRecord, task_id: str) -> list[str]:
    """Return the pending tasks that a task waits for and itself, each behind what it needs."""
    order: list[str] = []
    seen: set[str] = set()
    stack = [(task_id, False)]
    while stack:
        name, is_left = stack.pop()
        if is_left:
            order.append(name)
        elif name not in seen:
            seen.add(name)
            stack.append((name, True))
            if state.tasks[name].status is TaskStatus.PENDING:
                stack += [(need, False) for need in unfinished_needs(state, name)]
    return order
