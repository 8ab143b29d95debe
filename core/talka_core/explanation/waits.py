"""What a task waits for that holds nothing meanwhile: time, people, the outside, tasks of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from talka_core.explanation.picture import Subject, listed, seconds, span
from talka_core.scheduler import TaskRecord
from talka_core.scheduler.index import EXTENSION, MAP
from talka_core.scheduler.state import PARKED
from talka_core.scheduler.waiting import APPROVAL, SIGNAL, WAIT, WORKFLOW
from talka_protocols.explanations import Cause, CauseKind
from talka_protocols.states import FINAL_TASK_STATUSES


def waiting(subject: Subject) -> Iterator[Cause]:
    """Yield what a task in the state WAITING waits for."""
    record = subject.state.tasks[subject.task_id]
    yield _KINDS[record.waiting](subject, record)


def retrying(subject: Subject) -> Iterator[Cause]:
    """Yield what the next attempt, or the next round of a loop, waits for."""
    record = subject.state.tasks[subject.task_id]
    left = span(record.due_at - subject.picture.now_ms)
    if record.failures == 0 and record.iteration:
        yield subject.cause(
            CauseKind.LOOP,
            f"Round {record.iteration} of the loop is over; the next one begins in {left}.",
            "Time.",
            until=seconds(record.due_at),
        )
        return
    why = f": {record.error.message}" if record.error else "."
    yield subject.cause(
        CauseKind.RETRY,
        f"Attempt {record.attempt} failed and the next one begins in {left}{why}",
        "Time; `talka cancel` gives it up.",
        until=seconds(record.due_at),
    )


def _timer(subject: Subject, record: TaskRecord) -> Cause:
    return subject.cause(
        CauseKind.TIMER,
        f"It waits until its time has come, in {span(record.due_at - subject.picture.now_ms)}.",
        "Time.",
        since=seconds(record.started_at),
        until=seconds(record.due_at),
    )


def _signal(subject: Subject, record: TaskRecord) -> Cause:
    return subject.cause(
        CauseKind.SIGNAL,
        f"It waits for the signal {record.awaited!r}{_deadline(subject, record)}.",
        f"`talka signal {subject.state.execution_id} {record.awaited}` sends it.",
        since=seconds(record.started_at),
        until=seconds(record.due_at),
    )


def _approval(subject: Subject, record: TaskRecord) -> Cause:
    asked: dict[str, Any] = msgspec.json.decode(record.asked) or {}
    who = listed(asked.get("assignees", ())) or "anybody"
    return subject.cause(
        CauseKind.APPROVAL,
        f"It waits for the answer of {who} to {asked.get('question', '')!r}{_deadline(subject, record)}.",
        f"`talka approve {subject.state.execution_id} {subject.task_id}` answers;"
        f" choices: {', '.join(asked.get('choices', ())) or 'approve, reject'}.",
        since=seconds(record.started_at),
        until=seconds(record.due_at),
    )


def _deadline(subject: Subject, record: TaskRecord) -> str:
    return f", at most {span(record.due_at - subject.picture.now_ms)} more" if record.due_at else ""


def _sub_workflow(subject: Subject, record: TaskRecord) -> Cause:
    child = subject.picture.executions.get(record.awaited)
    if child is None or child.status is None:
        sentence = f"It waits for its sub-workflow {record.awaited}, which has not begun."
    else:
        ended = sum(task.status in FINAL_TASK_STATUSES for task in child.tasks.values())
        shown = f"{child.status.value}, {ended} of {len(child.tasks)} tasks have ended"
        sentence = f"It waits for its sub-workflow {record.awaited}: {shown}."
    if record.is_stopping:
        sentence = f"{sentence} It has been asked to stop."
    return subject.cause(
        CauseKind.SUB_WORKFLOW,
        sentence,
        f"The end of execution {record.awaited}.",
        since=seconds(record.started_at),
    )


def _map(subject: Subject, record: TaskRecord) -> Cause:
    state, progress = subject.state, subject.state.maps[subject.task_id]
    items = state.index.items.get(subject.task_id, ())
    open_items = [item for item in items if state.tasks[item].status not in FINAL_TASK_STATUSES]
    rule = state.index.tasks[subject.task_id].map
    limit = f", at most {rule.max_parallel} at once" if rule and rule.max_parallel else ""
    chain = (subject.task_id, open_items[0]) if open_items else ()
    return subject.cause(
        CauseKind.MAP_ITEMS,
        f"{progress.ended} of its {progress.items} items have ended{limit}; open: {listed(open_items)}.",
        "The end of its items.",
        chain=chain,
        since=seconds(record.started_at),
    )


def _extension(subject: Subject, _record: TaskRecord) -> Cause:
    return subject.cause(
        CauseKind.EXTENSION,
        "It has run and wants to add tasks to the graph; the planner has not answered yet.",
        "The planner's answer; check that the planner service runs.",
    )


def _parked(subject: Subject, record: TaskRecord) -> Cause:
    why = record.error.message if record.error else "Somebody must decide about it."
    name = f"{subject.state.execution_id} {subject.task_id}"
    return subject.cause(
        CauseKind.PARKED,
        f"It is parked until somebody decides about it: {why}",
        f"`talka release {name}` runs it again, `talka release {name} --fail` lets it have failed.",
    )


_KINDS: dict[str, Callable[[Subject, TaskRecord], Cause]] = {
    WAIT: _timer,
    SIGNAL: _signal,
    APPROVAL: _approval,
    WORKFLOW: _sub_workflow,
    MAP: _map,
    EXTENSION: _extension,
    PARKED: _parked,
}
