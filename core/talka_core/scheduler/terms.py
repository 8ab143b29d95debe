"""On what terms an execution asks its pool: for which tenant, within which limits, and with what else."""

from __future__ import annotations

from talka_core.deadlines.due import NEVER_S
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import ORDINARY, Terms

PREEMPTIONS_MAX = 3
"""How often a task may be preempted: then it runs to its end, so that it gets on at all."""


def terms_of(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Terms:
    """Return the terms on which a task's resources are asked for."""
    if state.workflow is None:
        return ORDINARY
    config, gang = state.workflow.config, record.gang if record.members else ""
    # A reservation is for the first attempt that gets resources; it ends with that.
    is_first = not record.newest_fence and not record.lost
    reservation = state.index.tasks[task_id].reservation if is_first else ""
    is_alone = not (gang or reservation)
    is_preemptible = is_alone and may_be_preempted(state, task_id, record)
    start_by = record.start_by if is_alone else 0
    about = (config.tenant, config.limits, gang, record.members, reservation)
    terms = Terms(*about, is_preemptible, start_by)
    return terms if terms != ORDINARY else ORDINARY


def may_be_preempted(state: ExecutionRecord, task_id: str, record: TaskRecord) -> bool:
    """Tell whether an attempt may be stopped for a better rank: the task allows it, and was not too often.

    A member of a gang is of no use without the others, and what is undone goes to its end.
    """
    task = state.index.tasks[task_id]
    is_allowed = task.is_preemptible and not task.is_irreversible and not record.undoes
    return is_allowed and task_id not in state.index.ganged and record.preemptions < PREEMPTIONS_MAX


def start_by(state: ExecutionRecord, task_id: str) -> int:
    """Return when a task has to start so that no deadline is missed (Unix milliseconds); 0 if none is due."""
    latest = state.index.latest.get(task_id, NEVER_S)
    if latest >= NEVER_S or not state.started_at:
        return 0
    # Its deadline may have passed before it began, which is no instant of the log.
    return max(1, state.started_at + int(1000 * latest))
