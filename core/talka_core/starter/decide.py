"""What a message makes happen to one schedule.

An execution's id is made of the schedule's name and the due time, so whatever
is decided or delivered twice starts nothing twice. Every event names the next
due time, so a commit that was cut short is completed by ``Advance``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from talka_core.starter.state import ScheduleRecord
from talka_core.starter.timing import check_schedule, milliseconds, never_fires, newest_dues, next_due, stamp
from talka_core.validation import check
from talka_protocols.errors import CallerError, ScheduleInvalidError, UnknownScheduleError
from talka_protocols.events import (
    RequestRefused,
    RunEnded,
    RunRecorded,
    RunSuperseded,
    ScheduleEvent,
    ScheduleFired,
    ScheduleMissed,
    SchedulePaused,
    ScheduleQueued,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
    ScheduleSkipped,
)
from talka_protocols.messages import (
    Advance,
    ExecutionEnded,
    PauseSchedule,
    PutSchedule,
    RemoveSchedule,
    ResumeSchedule,
    RunSchedule,
    StarterMessage,
    SubmissionRecorded,
    TimerFired,
)
from talka_protocols.schedules import CatchUp, Overlap, Schedule

ON_TIME_MS = 10_000
"""A due time that is noticed so late is still on time; what is older is up to the catch-up rule."""

ON_TIME_DUES = 12
NAME_MAX = 100


Request = PutSchedule | RemoveSchedule | PauseSchedule | ResumeSchedule | RunSchedule


def decide(state: ScheduleRecord, message: StarterMessage, now_ms: int) -> Iterator[ScheduleEvent]:
    """Yield what the message makes happen; see ``behaviour.step``."""
    if isinstance(message, Request) and message.request_id in state.requests:
        return
    match message:
        case TimerFired() | Advance():
            yield from _start_due(state, now_ms)
        case SubmissionRecorded():
            run = state.alive.get(message.execution_id)
            if run is not None and not run.is_recorded:
                yield RunRecorded(message.execution_id)
        case ExecutionEnded():
            if message.execution_id in state.alive:
                yield RunEnded(message.execution_id, message.status)
                yield from _start_due(state, now_ms)
        case PutSchedule():
            yield from _put(state, message, now_ms)
        case RemoveSchedule() | PauseSchedule() | ResumeSchedule() | RunSchedule():
            yield from _request(state, message, now_ms)


def check_name(name: str) -> None:
    """Refuse a name that leaves no room for a due time behind it.

    Raises:
        ScheduleInvalidError: it is too long.
    """
    if len(name) > NAME_MAX:
        raise ScheduleInvalidError(
            f"The name {name[:20]}... has {len(name)} characters.",
            code="bad_schedule",
            hint=f"A schedule's name may have {NAME_MAX}.",
        )


def first_due(schedule: Schedule, now_ms: int, anchor_at: int = 0) -> int:
    """Return when a schedule that is set now is first due; ``anchor_at`` is when it was first set.

    Raises:
        ScheduleInvalidError: it makes no sense, or is never due.
    """
    check_schedule(schedule)
    anchor_at = anchor_at or anchor_of(schedule, now_ms)
    if schedule.quiet_seconds is None:
        due = next_due(schedule, anchor_at, now_ms)
    else:
        due = now_ms + milliseconds(schedule.quiet_seconds)
        if schedule.max_wait_seconds is not None:
            due = min(due, anchor_at + milliseconds(schedule.max_wait_seconds))
    if not due:
        raise never_fires(schedule)
    return due


def anchor_of(schedule: Schedule, now_ms: int) -> int:
    """Return the instant from which intervals count."""
    return now_ms if schedule.starts_at is None else milliseconds(schedule.starts_at)


def _put(state: ScheduleRecord, message: PutSchedule, now_ms: int) -> Iterator[ScheduleEvent]:
    if state.schedule is not None and message.execution_id and message.execution_id == state.execution_id:
        return  # The same start was asked for before.
    schedule = message.schedule
    is_quiet = schedule.quiet_seconds is not None
    # Also while it is paused: those who called before were promised that start.
    waits_on = is_quiet and state.next_at > 0 and bool(state.execution_id)
    anchor_at = state.anchor_at if waits_on else anchor_of(schedule, now_ms)
    try:
        check_name(state.name)
        next_at = first_due(schedule, now_ms, anchor_at)
        if message.workflow is None:
            # The shell loads what is named before it delivers this: here nothing was named either.
            raise ScheduleInvalidError("The request holds no workflow, and names none.", code="no_workflow")
        workflow = check(message.workflow)
        if message.definition is not None and workflow != message.workflow:
            raise ScheduleInvalidError(
                "A definition stored by digest must be complete: check it before it is stored.",
                code="incomplete_definition",
            )
    except CallerError as error:
        yield _refused(message, error)
        return
    execution_id = message.execution_id
    if is_quiet:
        execution_id = state.execution_id if waits_on else f"{state.name}-{stamp(now_ms)}"
    yield ScheduleSet(
        schedule, next_at, anchor_at, workflow, message.definition, execution_id, message.request_id
    )


def _request(
    state: ScheduleRecord,
    message: RemoveSchedule | PauseSchedule | ResumeSchedule | RunSchedule,
    now_ms: int,
) -> Iterator[ScheduleEvent]:
    if state.schedule is None:
        yield _refused(message, UnknownScheduleError(state.name))
        return
    match message:
        case RemoveSchedule():
            yield ScheduleRemoved(message.request_id)
        case PauseSchedule():
            yield SchedulePaused(message.request_id)
        case ResumeSchedule():
            yield from _resume(state, message, state.schedule, now_ms)
        case RunSchedule():
            if message.execution_id not in state.by_hand:
                yield ScheduleFired(message.execution_id, state.next_at, request_id=message.request_id)


def _resume(
    state: ScheduleRecord, message: ResumeSchedule, schedule: Schedule, now_ms: int
) -> Iterator[ScheduleEvent]:
    """Go on with the first due time from now on; that of a schedule which was not paused stays."""
    if not state.is_paused:
        yield ScheduleResumed(state.next_at, message.request_id)
        return
    is_used_up = schedule.max_runs is not None and state.fired >= schedule.max_runs
    if is_used_up:
        next_at = 0
    elif schedule.quiet_seconds is not None:
        next_at = state.next_at
    else:
        next_at = next_due(schedule, state.anchor_at, now_ms)
    if next_at:
        yield ScheduleResumed(next_at, message.request_id)
        yield from _start_due(state, now_ms)
    else:
        yield _refused(message, never_fires(schedule, is_used_up=is_used_up))


def _refused(message: Request, error: CallerError) -> RequestRefused:
    request = type(message).__name__
    return RequestRefused(request, error.code, str(error), request_id=message.request_id)


def _start_due(state: ScheduleRecord, now_ms: int) -> Iterator[ScheduleEvent]:
    """Start what is due, let go what the rules let go, and name the next time."""
    if state.queued_at and not state.alive and not state.is_paused:
        yield _fired(state, state.queued_at, state.next_at)
    schedule = state.schedule
    if schedule is None or not state.is_armed or now_ms < state.next_at:
        return
    chosen, last_missed = _chosen(state, schedule, now_ms)
    following = _following(state, schedule, (chosen or [last_missed])[-1], now_ms)
    if last_missed:
        yield ScheduleMissed(state.next_at, last_missed, chosen[0] if chosen else following)
    for due, next_at in pairwise([*chosen, following]):
        if state.next_at == 0:
            return  # The last run that was wanted has been started.
        yield from _start(state, schedule, due, next_at)


def _chosen(state: ScheduleRecord, schedule: Schedule, now_ms: int) -> tuple[list[int], int]:
    """Return the due times to start for, and the last one before them that is let go, or 0."""
    if schedule.quiet_seconds is not None:
        return [state.next_at], 0
    is_all = schedule.catch_up is CatchUp.ALL
    most = max(schedule.catch_up_max, ON_TIME_DUES) if is_all else ON_TIME_DUES
    dues = newest_dues(schedule, state.anchor_at, state.next_at, now_ms, most + 1)
    # A newer zone database may not know the recorded time any more; it is due all the same.
    dues = dues or [state.next_at]
    on_time = sum(due >= now_ms - ON_TIME_MS for due in dues)
    match schedule.catch_up:
        case CatchUp.NONE:
            wanted = on_time
        case CatchUp.LAST:
            wanted = max(1, on_time)
        case CatchUp.ALL:
            wanted = max(schedule.catch_up_max, on_time)
    first = max(0, len(dues) - wanted)
    return dues[first:], dues[first - 1] if first else 0


def _following(state: ScheduleRecord, schedule: Schedule, after: int, now_ms: int) -> int:
    if schedule.quiet_seconds is not None:
        return 0
    return next_due(schedule, state.anchor_at, max(after, now_ms))


def _start(state: ScheduleRecord, schedule: Schedule, due: int, next_at: int) -> Iterator[ScheduleEvent]:
    """Start one execution for a due time, unless the overlap rule has it otherwise."""
    running = next(iter(state.alive), "")
    # Somebody was promised a single start by its id, so that one is never let go.
    is_kept = bool(state.execution_id)
    if running and schedule.overlap is Overlap.SKIP and not is_kept:
        yield ScheduleSkipped(due, next_at, running)
        return
    if running and schedule.overlap is Overlap.QUEUE and not is_kept:
        kind = ScheduleSkipped if state.queued_at else ScheduleQueued
        yield kind(due, next_at, running)
        return
    if schedule.overlap is Overlap.CANCEL:
        for execution_id in [key for key, run in state.alive.items() if not run.is_superseded]:
            yield RunSuperseded(execution_id)
    yield _fired(state, due, next_at)


def _fired(state: ScheduleRecord, due: int, next_at: int) -> ScheduleFired:
    schedule = state.schedule
    assert schedule is not None, "only what is set is due"
    is_last = schedule.max_runs is not None and state.fired + 1 >= schedule.max_runs
    execution_id = state.execution_id or f"{state.name}-{stamp(due)}"
    return ScheduleFired(execution_id, 0 if is_last else next_at, due)
