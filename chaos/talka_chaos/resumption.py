"""Restarts of tasks from a checkpoint that somebody chose."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from talka_chaos.forks import Logs, state_at
from talka_core.scheduler.plans import saved_progress
from talka_protocols import events as e
from talka_protocols.messages import RestartExecution
from talka_protocols.subjects import EXECUTION

SHARE = 0.06
"""The share of worlds in which somebody restarts tasks from a checkpoint."""


def resumption_moments(seed: int, storm_s: float) -> list[float]:
    """Return when a restart is asked for, by chance of its own; in most worlds never."""
    random = Random(f"{seed} resumption")  # noqa: S311
    if random.random() >= SHARE:
        return []
    return [random.uniform(2.0, 2 * storm_s) for _ in range(random.choice((2, 4, 8)))]


def restart_from_checkpoint(
    random: Random, logs: Logs, executions: Collection[str], name: str
) -> RestartExecution | None:
    """Return what restarts some task of these executions from some checkpoint; None where none was saved.

    What others began (a parent, a schedule) is theirs to restart: they remember how it ended.
    """
    known = (log for log in logs if log.kind == EXECUTION and log.key in executions)
    saved = [
        (log, version, event.task_id)
        for log in sorted(known, key=str)
        for commit in logs[log]
        for version, _, event in commit.events()
        if isinstance(event, e.TaskCheckpointed)
    ]
    if not saved:
        return None
    log, version, task_id = random.choice(saved)
    progress = saved_progress(state_at(logs, log, version), task_id)
    return RestartExecution(log.key, task_id, request_id=name, progress=progress)
