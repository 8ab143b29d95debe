"""The critical path as it really went: back from the end, through what each task had to wait for last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from talka_core.bottlenecks.timelines import Phase, Run, Timelines
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.index import EXTENSION
from talka_protocols.bottlenecks import Segment, Spent

_HOLDABLE = (Spent.QUEUE, Spent.OVERHEAD)
"""What may really have been a pause, or a rollback."""


def critical_path(state: ExecutionRecord, found: Timelines, until: int) -> tuple[Segment, ...]:
    """Return the segments from the start of an execution to its end, or to now, without gaps.

    Args:
        state: The execution's.
        found: What its tasks' time went on.
        until: The end, in milliseconds since the epoch.
    """
    path = _Path(state, found, until)
    path.follow()
    pieces = [
        (task_id, piece)
        for task_id, phase in reversed(path.phases)
        for piece in _cut(phase, [held for key, held in found.held if key in ("", task_id)])
    ]
    merged: list[tuple[str, Phase]] = []
    for task_id, piece in pieces:
        if merged and merged[-1][0] == task_id and merged[-1][1].spent_on is piece.spent_on:
            merged[-1][1].end = piece.end
        else:
            merged.append((task_id, Phase(piece.spent_on, piece.begin, piece.end)))
    began = path.began
    return tuple(Segment(t, p.spent_on, p.begin - began, p.end - p.begin) for t, p in merged)


def worth_ms(found: Timelines, segments: Sequence[Segment], began: int) -> dict[str, int]:
    """Return how many milliseconds of the path each task accounts for: its own, and those that others waited.

    A task whose attempt runs while the path waits for a turn or for resources may be what it waits for.
    """
    waited = [s for s in segments if s.spent_on in (Spent.QUEUE, Spent.RESOURCE)]
    worth: dict[str, int] = {}
    for segment in segments:
        if segment.spent_on in (Spent.COMPUTE, Spent.WAIT):
            worth[segment.task_id] = worth.get(segment.task_id, 0) + segment.took_ms
    for task_id, runs in found.runs.items():
        phases = [phase for run in runs for phase in run.phases if phase.spent_on is Spent.COMPUTE]
        shared = sum(_overlap(phase, segment, began) for phase in phases for segment in waited)
        if shared:
            worth[task_id] = worth.get(task_id, 0) + shared
    return worth


def _overlap(phase: Phase, segment: Segment, began: int) -> int:
    first = max(phase.begin - began, segment.began_ms)
    return max(0, min(phase.end - began, segment.began_ms + segment.took_ms) - first)


class _Step(Struct, frozen=True):
    """A run on the path; one of a map ``is_entered`` when its items are on the path already."""

    run: Run
    is_entered: bool = False


class _Path:
    """Goes back from the end; ``phases`` are what is on the path, the last one first."""

    def __init__(self, state: ExecutionRecord, found: Timelines, until: int) -> None:
        self.began = min(state.started_at or until, until)
        self.phases: list[tuple[str, Phase]] = []
        self._state = state
        self._runs = found.runs
        self._at = until
        self._added_by = {
            task.id: added.by for added in state.added if added.reason == EXTENSION for task in added.tasks
        }

    def follow(self) -> None:
        """Go back to the start of the execution."""
        step = self._last()
        while step is not None and self._at > self.began:
            items = [] if step.is_entered else self._items(step.run.task_id)
            inner = _latest(items, self._at, after=step.run.ready_at)
            if inner is not None:
                self._gap(step.run.task_id, inner.ended_at)
                step = _Step(inner)
                continue
            self._take(step.run)
            step = self._before(step)
        self._gap("", self.began)

    def _last(self) -> _Step | None:
        """Return the run that ended last, or, while it goes on, the open one with most behind it."""
        runs = [run for task_id in self._runs for run in self._runs[task_id]]
        still = [run for run in runs if not run.ended_at] if not self._state.finished_at else []
        if still:
            positions = self._state.index.positions
            return _Step(min(still, key=lambda run: (-positions[run.task_id].remaining, run.ready_at)))
        found = _latest(runs, self._at, after=self.began)
        return _Step(found) if found else None

    def _before(self, step: _Step) -> _Step | None:
        """Return what had to end before a run could begin."""
        task_id = step.run.task_id
        map_id = self._state.index.maps.get(task_id, "")
        if map_id:
            whole = next(
                (run for run in reversed(self._runs.get(map_id, [])) if run.ready_at <= self._at), None
            )
            earlier = _latest(self._items(map_id), self._at, after=whole.ready_at if whole else self.began)
            if earlier is not None and earlier is not step.run and earlier.ready_at < step.run.ready_at:
                return _Step(earlier)
            return _Step(whole, is_entered=True) if whole else None
        needs = [*self._state.index.predecessors.get(task_id, ()), self._added_by.get(task_id, "")]
        found = _latest(
            (run for need in needs for run in self._runs.get(need, ())), self._at, after=self.began
        )
        return _Step(found) if found else None

    def _items(self, map_id: str) -> list[Run]:
        items = self._state.index.items.get(map_id, ())
        return [run for item in items for run in self._runs.get(item, ())]

    def _take(self, run: Run) -> None:
        """Put a run on the path, as far as it lies before what is there."""
        self._gap(run.task_id, max((phase.end for phase in run.phases), default=run.ready_at))
        for phase in reversed(run.phases):
            begin, end = max(phase.begin, self.began), min(phase.end, self._at)
            if begin < end:
                self.phases.append((run.task_id, Phase(phase.spent_on, begin, end)))
                self._at = begin

    def _gap(self, task_id: str, down_to: int) -> None:
        """Count what lies between what is on the path and an earlier instant as overhead."""
        down_to = max(down_to, self.began)
        if down_to < self._at:
            self.phases.append((task_id, Phase(Spent.OVERHEAD, down_to, self._at)))
            self._at = down_to


def _latest(runs: Iterable[Run], at: int, *, after: int) -> Run | None:
    """Return the run that ended last of those that ended by an instant, and not before another."""
    ended = [run for run in runs if after <= run.ended_at <= at]
    return max(ended, key=lambda run: (run.ended_at, run.ready_at), default=None)


def _cut(phase: Phase, held: Sequence[Phase]) -> Iterator[Phase]:
    """Divide a phase into what was held back and what was not."""
    if phase.spent_on not in _HOLDABLE:
        yield phase
        return
    at = phase.begin
    for hold in sorted(held, key=lambda each: each.begin):
        begin, end = max(hold.begin, at), min(hold.end, phase.end)
        if begin < end:
            if at < begin:
                yield Phase(phase.spent_on, at, begin)
            yield Phase(hold.spent_on, begin, end)
            at = end
    if at < phase.end:
        yield Phase(phase.spent_on, at, phase.end)
