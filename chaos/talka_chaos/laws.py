"""What settles an owed effect: the other half of the resume law B1.

An owed effect is settled by a recorded fact, never by having been sent. This
module says which fact settles which effect, from the contents alone, without
asking any behaviour; so it can be held against every behaviour's ``resume``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from talka_core.behaviour import (
    Alert,
    ClearAlarm,
    Confirm,
    Effect,
    Enlist,
    Improve,
    Launch,
    Send,
    SetAlarm,
    SetTimer,
    Stop,
    is_owed,
)
from talka_core.resource.bookings import BOOKING
from talka_core.resource.breaker import BREAKER
from talka_core.resource.decide import RATE, RESERVATION, SHARED
from talka_core.resource.preemption import THREAT
from talka_core.resource.scaling import SCALING
from talka_core.scheduler.decide import KEPT, RETRY, START, TIMEOUT, WAIT
from talka_core.starter.effects import moves_alarm, stops_alarm
from talka_core.worker import state as f
from talka_protocols import events as e
from talka_protocols import messages as m

_ATTEMPT_OVER = (
    e.TaskSucceeded,
    e.TaskFailed,
    e.TaskTimedOut,
    e.TaskRetrying,
    e.TaskIterated,
    e.TaskAttemptLost,
    e.TaskFellBack,
    e.TaskParked,
    e.TaskCancelled,
)
_START_OVER = (
    e.TaskReady,
    e.TaskStarted,
    e.TaskStartTimeoutReached,
    e.TaskPreempted,
    e.TaskCancelRequested,
    e.TaskWaiting,
    e.TaskPaused,
)
_TIME_STOPS = (
    e.TimeLimitStopped,
    e.ExecutionResumed,
    e.FailFastBegan,
    e.ExecutionCancelRequested,
    e.ExecutionTimeoutReached,
    e.ExecutionSucceeded,
    e.ExecutionPartlySucceeded,
    e.ExecutionFailed,
    e.ExecutionTimedOut,
    e.ExecutionCancelled,
    e.RollbackStarted,
    e.ExecutionRestarted,
)


def is_settled(effect: Effect, event: Any) -> bool:
    """Tell whether the fact settles the effect."""
    match effect:
        case Send():
            return _is_message_settled(effect.message, event)
        case SetTimer():
            return _is_timer_settled(effect.name, event)
        case SetAlarm() | ClearAlarm():
            return moves_alarm(event) or stops_alarm(event)
        case Launch():
            return _key(event) == (effect.start.execution_id, effect.start.task.id)
        case Stop():
            key = (effect.execution_id, effect.task_id)
            return _key(event) == key or (isinstance(event, f.AttemptStopping) and event.key == key)
        case Enlist():
            return isinstance(event, f.IncarnationBegan)
        case Confirm() | Alert() | Improve():
            raise AssertionError("neither a confirmation nor an alert nor a search is owed")


def _is_timer_settled(name: str, event: Any) -> bool:
    if name == TIMEOUT:
        return isinstance(event, _TIME_STOPS)
    if name.startswith(START):
        is_its = getattr(event, "task_id", None) == name.removeprefix(START)
        is_off = isinstance(event, (*_ATTEMPT_OVER, *_START_OVER)) and is_its
        return is_off or (
            isinstance(event, (e.ExecutionPaused, *_TIME_STOPS)) and not isinstance(event, e.TimeLimitStopped)
        )
    kind, _, rest = name.partition("/")
    if kind in (RETRY, WAIT):
        is_passed = isinstance(event, e.TaskReady) or _is_over(event, rest.rpartition("/")[0])
        return is_passed and event.task_id == rest.rpartition("/")[0]
    if name.startswith(KEPT):
        is_passed = isinstance(event, e.AllocationReleased | e.AllocationHandedOn)
        return is_passed and name == KEPT + event.allocation_id
    return _is_pool_timer_settled(name, event)


def _is_pool_timer_settled(name: str, event: Any) -> bool:
    if name.startswith(SHARED):
        is_returned = (
            isinstance(event, e.SharedReturned)
            and name == f"{SHARED}{RATE if event.is_rate else ''}{event.fence}"
        )
        return is_returned or isinstance(event, e.PoolOwnershipTaken)
    if name == SCALING:
        kinds = (e.ScalingDeferred, e.ScalingConfigured, e.PoolOwnershipTaken)
        return isinstance(event, kinds)
    if name.startswith(BREAKER):
        return _is_half_opening_settled(name.removeprefix(BREAKER), event)
    if name.startswith(THREAT):
        over = (e.RequestPromoted, e.AllocationGranted, e.AllocationFreed)
        return isinstance(event, over) and name == THREAT + event.allocation_id
    if name.startswith(BOOKING):
        is_begun = isinstance(event, e.ReservationMade | e.ReservationEnded)
        return is_begun and name == BOOKING + event.reservation_id
    return isinstance(event, e.ReservationEnded) and name == RESERVATION + event.reservation_id


def _is_half_opening_settled(agent_type: str, event: Any) -> bool:
    if isinstance(event, e.PoolConfigured):
        return agent_type not in event.breakers
    is_half_open = isinstance(event, e.BreakerHalfOpened) and event.agent_type == agent_type
    return is_half_open or isinstance(event, e.PoolOwnershipTaken)


def _is_message_settled(message: m.Message, event: Any) -> bool:
    match message:
        case m.RequestAllocation():
            return _is_request_settled(message, event)
        case m.StartTask():
            begun = (e.TaskStarted, e.TaskStartTimeoutReached)
            return (isinstance(event, begun) and event.task_id == message.task.id) or _is_over(
                event, message.task.id
            )
        case m.CancelTask():
            over = (e.TaskCancelRequested, *((e.TaskStarted,) if message.unless_started else ()))
            return (isinstance(event, over) and event.task_id == message.task_id) or _is_over(
                event, message.task_id
            )
        case m.ReleaseAllocation():
            return isinstance(event, e.AllocationSettled) and event.allocation_id == message.allocation_id
        case m.RecordHandOn():
            return _is_hand_on_settled(message, event)
        case m.RecordProgress():
            return _is_progress_settled(message, event)
        case m.AttemptFinished():
            return _key(event) == (message.execution_id, message.task_id)
        case _:
            return _is_conversation_settled(message, event)


def _is_conversation_settled(message: m.Message, event: Any) -> bool:
    match message:
        case m.ExtendPlan():
            is_judged = isinstance(event, e.ExtensionAccepted | e.ExtensionRefused)
            return (is_judged and event.task_id == message.task_id) or _is_over(event, message.task_id)
        case m.StartExecution():
            return isinstance(event, e.PlanHandedOver)
        case (
            m.SubmitWorkflow()
            | m.CancelExecution()
            | m.ChildFinished()
            | m.RollBackChild()
            | m.ChildRolledBack()
            | m.ReportEnd()
        ):
            return _is_kin_settled(message, event)
        case m.SignalExecution():
            return _is_firing(event, message.signal_id)
        case m.RevokeAllocation():
            return isinstance(event, e.AllocationFreed) and event.allocation_id == message.allocation_id
        case m.PreemptAllocation():
            is_over = isinstance(event, e.AllocationFreed | e.AllocationRevoked)
            return is_over and event.allocation_id == message.allocation_id
        case m.RegisterWorker():
            return isinstance(event, f.Admitted | f.EnlistingBegan | f.IncarnationBegan | f.DrainBegan)
        case m.DrainWorker():
            return isinstance(event, f.DrainRecorded | f.EnlistingBegan | f.IncarnationBegan)
        case _:
            raise AssertionError(f"{type(message).__name__} is owed, and nothing says what settles it")


def _is_kin_settled(message: m.Message, event: Any) -> bool:
    """Tell whether a task or a schedule has what it wanted of an execution of its own."""
    match message:
        case m.SubmitWorkflow(parent=e.Parent() as parent):
            is_begun = isinstance(event, e.ChildStarted) and event.task_id == parent.task_id
            return is_begun or _is_over(event, parent.task_id)
        case m.CancelExecution(parent=e.Parent() as parent):
            is_again = isinstance(event, e.TaskCancelRequested) and event.task_id == parent.task_id
            return is_again or _is_over(event, parent.task_id)
        case m.SubmitWorkflow(trigger=str() as trigger) if trigger:
            return _is_firing(event, message.execution_id)
        case m.ChildFinished() | m.ChildRolledBack():
            return isinstance(event, e.ParentInformed | e.RollbackStarted | e.ExecutionRestarted)
        case m.RollBackChild():
            is_undone = isinstance(event, e.ChildUndone) and event.child_id == message.execution_id
            return is_undone or _is_over(event, message.undo.task_id)
        case m.SubmitWorkflow():
            return _is_run(event, e.RunRecorded | e.RunEnded, message.execution_id)
        case m.ReportEnd() | m.CancelExecution():
            return _is_run(event, e.RunEnded, message.execution_id)
        case _:
            return False


def _is_firing(event: Any, firing_id: str) -> bool:
    return isinstance(event, e.FiringSettled | e.FiringRefused) and event.firing_id == firing_id


def _is_run(event: Any, kinds: Any, execution_id: str) -> bool:
    return isinstance(event, kinds) and event.execution_id == execution_id


def _is_request_settled(message: m.RequestAllocation, event: Any) -> bool:
    if isinstance(event, e.AllocationRequestWithdrawn | e.AllocationReleased):
        return event.allocation_id == message.allocation_id
    is_granted = (
        isinstance(event, e.TaskScheduled | e.TaskWithdrawn) and event.task_id == message.holder.task_id
    )
    return is_granted or _is_over(event, message.holder.task_id)


def _is_hand_on_settled(message: m.RecordHandOn, event: Any) -> bool:
    match event:
        case e.HandOnSettled():
            return event.allocation_id == message.allocation_id and event.fence >= message.fence
        case e.AllocationReleased() | e.AllocationHandedOn():
            return event.allocation_id == message.allocation_id
        case _:
            return False


def _is_progress_settled(message: m.RecordProgress, event: Any) -> bool:
    if isinstance(event, f.ProgressSettled):
        done = event.confirmation
        about = (done.execution_id, done.task_id, done.attempt, done.sequence)
        return about == (message.execution_id, message.task_id, message.attempt, message.sequence)
    return _key(event) == (message.execution_id, message.task_id)


def _is_over(event: Any, task_id: str) -> bool:
    return isinstance(event, _ATTEMPT_OVER) and event.task_id == task_id


def _key(event: Any) -> tuple[str, str] | None:
    """Return the task whose earlier attempt a worker's fact replaces or ends."""
    match event:
        case f.AttemptAccepted():
            return (event.start.execution_id, event.start.task.id)
        case f.AttemptReported():
            return (event.report.execution_id, event.report.task_id)
        case f.AttemptSettled():
            return event.key
        case _:
            return None


class Ledger:
    """The effects that a history's facts called for and that no later fact settled."""

    def __init__(self) -> None:
        self.owed: list[Effect] = []

    def record(self, event: Any, effects: Iterable[Effect]) -> None:
        """Take one fact and what it called for."""
        self.owed = [effect for effect in self.owed if not is_settled(effect, event)]
        self.owed += [effect for effect in effects if is_owed(effect)]

    def difference(self, resumed: Iterable[Effect]) -> str:
        """Return what one side has and the other has not; empty when the law B1 holds."""
        ours, theirs = Counter(map(_identity, self.owed)), Counter(map(_identity, resumed))
        missing, extra = ours - theirs, theirs - ours
        if not missing and not extra:
            return ""
        return f"owed but not resumed: {dict(missing)}; resumed but not owed: {dict(extra)}"


def _identity(effect: Effect) -> tuple[str, str]:
    """Name an effect by type and content; what a worker runs now is said anew in each registration."""
    if isinstance(effect, Send) and isinstance(effect.message, m.RegisterWorker):
        effect = replace(effect, message=replace(effect.message, running=()))
    if isinstance(effect, Send) and isinstance(effect.message, m.ExtendPlan):
        # The graph is asked about as it is now.
        nothing = replace(effect.message.graph, tasks=(), dependencies=())
        effect = replace(effect, message=replace(effect.message, graph=nothing, pending=()))
    return type(effect).__name__, msgspec.json.encode(effect).decode()
