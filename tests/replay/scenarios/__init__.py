"""The golden histories, each by what happens in it; every one is recorded once."""

from collections.abc import Callable
from typing import Any

from tests.replay.scenarios import control, growing, owning, plain, sharing, starting, undoing, waiting

from talka_chaos.model import Model
from talka_protocols.commit import Commit
from talka_protocols.subjects import LogName

SCENARIOS: dict[str, Callable[[], Model]] = {
    scenario.__name__: scenario
    for scenario in (
        plain.success,
        plain.archived,
        plain.failure_and_skip,
        plain.retry,
        plain.partial,
        plain.rejected,
        plain.cancel,
        plain.withdrawn,
        plain.time_limit,
        plain.hand_on,
        plain.baseline,
        plain.baseline_adopted,
        plain.worker_lost,
        plain.commit_cut_short,
        control.pause_and_resume,
        control.reprioritized,
        control.time_limit_resumed,
        control.fallback,
        control.fail_fast,
        control.start_timeout,
        control.start_withdrawn,
        control.heartbeat_timeout,
        control.forced_cancel,
        control.task_cancelled,
        control.parked,
        control.retry_rules,
        control.branches,
        undoing.rollback,
        undoing.rollback_of_sub_workflow,
        undoing.rollback_of_map,
        undoing.fork,
        undoing.fork_of_grown_graph,
        undoing.rollback_stopped_and_restarted,
        undoing.restart_from_task,
        undoing.restart_from_checkpoint,
        undoing.rollback_of_paused,
        undoing.group_with_map,
        waiting.wait,
        waiting.signal,
        waiting.approval,
        waiting.sub_workflow,
        waiting.sub_workflow_cancelled,
        growing.map_over_items,
        growing.loop_in_rounds,
        growing.checkpoints,
        growing.extension,
        growing.artifacts,
        plain.usage,
        plain.labels,
        starting.schedule,
        starting.schedule_requests,
        starting.schedules_that_overlap,
        starting.keys,
        starting.triggers,
        starting.breaker,
        starting.scaling,
        sharing.tenants,
        sharing.gang,
        sharing.reservations,
        sharing.preemption,
    )
}
WRITTEN: dict[str, dict[LogName, list[Commit[Any]]]] = {"ownership": owning.OWNERSHIP}
"""Histories that no model of the actors has, by log."""

__all__ = ["SCENARIOS", "WRITTEN"]
