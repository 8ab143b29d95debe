"""What a rollback or a restart would do, and why it cannot be done; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from talka_core.scheduler import compensation, extent
from talka_core.scheduler.extent import Extent, had_ended, is_begun
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Progress
from talka_protocols.messages import RestartExecution, RollBackExecution
from talka_protocols.results import RollbackPlan
from talka_protocols.states import FINAL_EXECUTION_STATES, FINAL_TASK_STATUSES, ExecutionState
from talka_protocols.workflow import Workflow

BEGINNING = 1
"""The event to which an undone sub-workflow goes back: it had been accepted, and nothing had been done."""


def planned(state: ExecutionRecord, message: RollBackExecution) -> RollbackPlan:
    """Return what a rollback would do, without doing it.

    Raises:
        RequestRefusedError: it cannot be done.
    """
    _check_restful(state)
    to = _target(state, message)
    reach = extent.since(state, to)
    tasks = reach.tasks
    if not tasks:
        raise RequestRefusedError(f"Nothing has happened after event {to}.", code="nothing_to_undo")
    leaving = _leaving(state, reach, to)
    removed = tuple(t for t in tasks if t in leaving and not _returns(state, reach, t, to))
    stands = tuple(name for t in tasks for name in _irreversible(state, t))
    if stands and not message.accepts_irreversible:
        raise RequestRefusedError(
            f"What {_named(stands)} did cannot be undone.",
            hint="Accept that it stays (--accept-irreversible), or choose a later event.",
            code="irreversible",
        )
    gone, wanted = frozenset(removed), frozenset(tasks)
    return RollbackPlan(
        to,
        cancelled=tuple(t for t in tasks if is_begun(state.tasks[t])),
        compensated=_compensated(state, tasks),
        kept=tuple(
            t for t, r in state.tasks.items() if t not in wanted and had_ended(r, to) and not r.undoes
        ),
        again=tuple(t for t in tasks if t not in gone),
        removed=removed,
        irreversible=stands,
        resumed=reach.resumed,
        paused=tuple(t for t in tasks if t not in leaving and _was_paused(state.tasks[t], to)),
    )


def _leaving(state: ExecutionRecord, reach: Extent, to: int) -> frozenset[str]:
    """Return the tasks that leave the graph: what was added since, or by what runs again."""
    again = frozenset(reach.tasks)
    added_by = {task.id: addition.by for addition in state.added for task in addition.tasks}
    return frozenset(t for t in reach.tasks if state.tasks[t].added_at > to or added_by.get(t) in again)


def _returns(state: ExecutionRecord, reach: Extent, task_id: str, to: int) -> bool:
    """Tell whether the task is an item that comes back at once, because its map goes on with the others."""
    return state.index.maps.get(task_id) in reach.resumed and state.tasks[task_id].added_at <= to


def _was_paused(record: TaskRecord, event: int) -> bool:
    """Tell whether somebody had paused the task at the event and has not resumed it since."""
    return record.is_paused and 0 < record.paused_version <= event


def _compensated(state: ExecutionRecord, tasks: Collection[str]) -> tuple[str, ...]:
    """Return what is undone, in this order; of a map that is its items."""
    return tuple(t for t in compensation.to_undo(state, tasks) if state.index.tasks[t].map is None)


def planned_for_parent(state: ExecutionRecord) -> RollbackPlan:
    """Return what a sub-workflow would undo when the task that it belongs to is undone."""
    tasks = [] if is_undone_by_parent(state) else [t for t, r in state.tasks.items() if not r.undoes]
    return RollbackPlan(
        BEGINNING,
        cancelled=tuple(t for t in tasks if is_begun(state.tasks[t])),
        compensated=_compensated(state, tasks),
        irreversible=tuple(name for t in tasks for name in _irreversible(state, t)),
    )


def _irreversible(state: ExecutionRecord, task_id: str) -> Iterator[str]:
    """Yield what stays of what the task did; only a sub-workflow knows whether its tasks did anything."""
    record, task = state.tasks[task_id], state.index.tasks[task_id]
    if task.is_irreversible:
        if record.children or compensation.has_acted(record):
            yield task_id
    elif record.children and task.compensation is None and task.workflow is not None:
        yield from (f"{task_id}/{name}" for name in _declared(task.workflow))


def _declared(workflow: Workflow) -> Iterator[str]:
    for task in workflow.tasks:
        if task.is_irreversible:
            yield task.id
        elif task.workflow is not None and task.compensation is None:
            yield from (f"{task.id}/{name}" for name in _declared(task.workflow))


def restarted(state: ExecutionRecord, message: RestartExecution) -> Extent:
    """Return the tasks that a restart would run again.

    Raises:
        RequestRefusedError: it cannot be done.
    """
    _check_restful(state)
    is_whole = not message.from_task and not message.from_event
    if state.rollback is not None:
        if is_whole:
            return Extent(state.rollback.tasks, state.rollback.resumed)
        raise RequestRefusedError(
            f"Its rollback to event {state.rollback.to} has not been completed.",
            hint="Restart it without saying from where: the rollback is then taken up again.",
            code="rollback_unfinished",
        )
    reach = _chosen(state, message)
    if not reach.tasks:
        raise RequestRefusedError("Nothing is left to run again.", code="nothing_to_restart")
    running = [t for t in reach.tasks if is_begun(state.tasks[t])]
    if running:
        raise RequestRefusedError(
            f"{_named(running)} would have to run again, and still runs.",
            hint="Wait for it, cancel the execution, or roll it back.",
            code="still_running",
        )
    return reach


def _chosen(state: ExecutionRecord, message: RestartExecution) -> Extent:
    if message.from_task:
        record = _task(state, message.from_task)
        if message.from_task in state.index.maps:
            raise RequestRefusedError(
                f"Task {message.from_task!r} is an item of {state.index.maps[message.from_task]!r}.",
                hint="Restart that: a map runs again as a whole.",
                code="map_item",
            )
        if record.status not in FINAL_TASK_STATUSES:
            raise RequestRefusedError(
                f"Task {message.from_task!r} is {record.status}, so it cannot be restarted.",
                hint="Only what has ended can run again.",
                code="still_running",
            )
        _check_progress(state, message)
        return extent.behind(state, [message.from_task])
    if message.from_event:
        _check_event(state, message.from_event)
        return extent.since(state, message.from_event)
    return extent.undone(state)


def saved_progress(state: ExecutionRecord, task_id: str) -> Progress:
    """Return what a task has saved, for a restart to go on from: its newest checkpoint and finished steps.

    Raises:
        RequestRefusedError: it has saved no checkpoint.
    """
    record = state.tasks.get(task_id)
    if record is None or record.checkpoint is None:
        raise RequestRefusedError(
            f"Task {task_id!r} had saved no checkpoint by event {state.version}.",
            hint="`talka events ID --type TaskCheckpointed` lists them.",
            code="no_checkpoint",
        )
    newest = record.checkpoint
    return Progress(task_id, newest.attempt, newest.sequence, newest.saved, dict(record.steps))


def _check_progress(state: ExecutionRecord, message: RestartExecution) -> None:
    """Refuse to go on from a checkpoint whose effects are undone first, or which is one iteration's own."""
    if message.progress is None:
        return
    task = state.index.tasks[message.from_task]
    why = ""
    if message.progress.task_id != message.from_task:
        why = f"is of task {message.progress.task_id!r}"
    elif task.compensation is not None:
        why = "would be undone first, by the task's compensation"
    elif task.loop is not None:
        why = "is of one iteration, and a loop begins with its first"
    if why:
        raise RequestRefusedError(
            f"Task {message.from_task!r} cannot go on from that checkpoint: what it saved {why}.",
            hint="Restart it without naming a checkpoint.",
            code="checkpoint_unusable",
        )


def is_undone_by_parent(state: ExecutionRecord) -> bool:
    """Tell whether the sub-workflow has undone everything because what undoes its task asked for that."""
    return state.undone_for is not None and state.status is ExecutionState.ROLLED_BACK


def _check_restful(state: ExecutionRecord) -> None:
    """Refuse while something else is going on, or where there is nothing to go back in."""
    if state.is_rolling_back:
        assert state.rollback is not None
        raise RequestRefusedError(
            f"The execution is being rolled back to event {state.rollback.to}.",
            hint="Wait for the end of that, and ask again.",
            code="rolling_back",
        )
    if state.undone_for is not None:
        raise RequestRefusedError(
            f"It is a sub-workflow of {state.undone_for.execution_id}, which has had everything undone here.",
            hint="Restart that execution: it begins a new one.",
            code="undone_by_parent",
        )
    is_open = state.status not in FINAL_EXECUTION_STATES
    if state.workflow is None:
        raise RequestRefusedError("The execution never began.", code="not_begun")
    if is_open and (state.is_stopping or state.status is ExecutionState.ACCEPTED):
        raise RequestRefusedError(
            "The execution is just beginning or ending.", hint="Ask again in a moment.", code="not_at_rest"
        )


def _target(state: ExecutionRecord, message: RollBackExecution) -> int:
    if not message.task_id:
        _check_event(state, message.to)
        return message.to
    record = _task(state, message.task_id)
    if record.status not in FINAL_TASK_STATUSES:
        raise RequestRefusedError(
            f"Task {message.task_id!r} is {record.status}, so there is no end of it to go back to.",
            hint="Name a task that has ended, or an event.",
            code="not_ended",
        )
    return record.ended_version


def _check_event(state: ExecutionRecord, event: int) -> None:
    if not 1 <= event <= state.version:
        raise RequestRefusedError(
            f"There is no event {event}: the log ends at {state.version}.",
            hint="`talka events ID` lists them.",
            code="unknown_event",
        )
    for first, end in state.lost_spans:
        if first <= event < end:
            raise RequestRefusedError(
                f"What had ended at event {event} was undone or run again by event {end}.",
                hint=f"Choose an event before {first}, or from {end} on.",
                code="lost_event",
            )


def _task(state: ExecutionRecord, task_id: str) -> TaskRecord:
    record = state.tasks.get(task_id)
    if record is None or record.undoes:
        raise RequestRefusedError(
            f"The execution has no task {task_id!r}.",
            hint="`talka status ID` lists them.",
            code="unknown_task",
        )
    return record


def _named(tasks: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(repr(task_id) for task_id in tasks[:10])
    return shown if len(tasks) <= 10 else f"{shown} and {len(tasks) - 10} more"
