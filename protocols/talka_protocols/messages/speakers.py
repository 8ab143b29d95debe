"""Who may say what: the server vouches for who speaks, since the subject of a letter ends in its speaker.

A speaker is one role, and for a worker its id as well: ``scheduler``, ``worker.w1``. Where the
server lets everybody publish everything this holds back mistakes; with permissions it holds back
whoever has taken over a worker or a client.
"""

from __future__ import annotations

from enum import StrEnum

from talka_protocols.messages import archive, execution, growth, pool, proposal, schedule, trigger, worker
from talka_protocols.messages.envelope import Message
from talka_protocols.messages.kinds import Advance, TimerFired


class Role(StrEnum):
    """What a process is to the others; ``platform`` is one that is several services at once."""

    PLATFORM = "platform"
    PLANNER = "planner"
    SCHEDULER = "scheduler"
    RESOURCE = "resource"
    WORKER = "worker"
    CLIENT = "client"


TRUSTED = Role.PLATFORM.value
"""Who speaks where nothing came through a server: the process itself."""

_BY_WORKERS = (
    execution.AttemptStarted,
    execution.AttemptFinished,
    execution.RecordProgress,
    pool.RegisterWorker,
    pool.DrainWorker,
    pool.WorkerLeft,
)
_BY_CLIENTS = (
    execution.SubmitWorkflow,
    execution.CancelExecution,
    execution.CancelSingleTask,
    execution.PauseExecution,
    execution.ResumeExecution,
    execution.ReleaseTask,
    execution.ReprioritizeExecution,
    execution.SignalExecution,
    execution.AnswerApproval,
    execution.RollBackExecution,
    execution.RestartExecution,
    # It takes nothing away: only an archiver may, and it looks at the archive first.
    archive.ArchiveExecution,
    proposal.ProposeBaseline,
    pool.RequestAllocation,
    pool.ReleaseAllocation,
    pool.ReserveResources,
    pool.EndReservation,
    pool.ConfigurePool,
    pool.ScalePool,
    pool.DrainWorker,
    schedule.PutSchedule,
    schedule.RemoveSchedule,
    schedule.PauseSchedule,
    schedule.ResumeSchedule,
    schedule.RunSchedule,
    trigger.CreateTrigger,
    trigger.DeleteTrigger,
    trigger.PauseTrigger,
    trigger.ResumeTrigger,
    # What is not due, or was taken in before, leads to nothing: alarms and events come on clients' subjects.
    trigger.TakeEvent,
    TimerFired,
    Advance,
)
_RESERVED: dict[type, Role] = {
    execution.GrantAllocation: Role.RESOURCE,
    execution.RefuseAllocation: Role.RESOURCE,
    execution.RevokeAllocation: Role.RESOURCE,
    execution.PreemptAllocation: Role.RESOURCE,
    execution.ConfirmRelease: Role.RESOURCE,
    execution.ConfirmHandOn: Role.RESOURCE,
    execution.WithdrawPermit: Role.RESOURCE,
    worker.AdmitWorker: Role.RESOURCE,
    worker.RejoinWorker: Role.RESOURCE,
    worker.ConfirmDrain: Role.RESOURCE,
    execution.StartExecution: Role.PLANNER,
    growth.AnswerExtension: Role.PLANNER,
    execution.ChildFinished: Role.SCHEDULER,
    execution.ChildRolledBack: Role.SCHEDULER,
    growth.ExtendPlan: Role.SCHEDULER,
    pool.RecordHandOn: Role.SCHEDULER,
    worker.StartTask: Role.SCHEDULER,
    worker.SettleReport: Role.SCHEDULER,
    **dict.fromkeys(_BY_WORKERS[:4], Role.WORKER),
}
"""What decides an outcome, an allocation or a start is said by one service only."""

_SERVICES = frozenset({Role.PLATFORM, Role.PLANNER, Role.SCHEDULER, Role.RESOURCE})


def is_service(speaker: str) -> bool:
    """Tell whether a speaker is one of the services, whose sender's names and epochs are believed."""
    return speaker in _SERVICES


def may_say(speaker: str, message: Message) -> bool:
    """Tell whether a speaker may say this; one that is unknown may say nothing."""
    role, _, identity = speaker.partition(".")
    match role:
        case Role.PLATFORM:
            return True
        case Role.WORKER:
            is_own = getattr(message, "worker_id", identity) == identity
            return is_own and isinstance(message, _BY_WORKERS)
        case Role.CLIENT:
            return isinstance(message, _BY_CLIENTS)
        case Role.PLANNER | Role.SCHEDULER | Role.RESOURCE:
            return _RESERVED.get(type(message), role) == role
        case _:
            return False
