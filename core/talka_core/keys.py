"""Limits per key: how many hold something at once, and how many start in a while.

To a pool such a limit is an amount that it has as a whole, under a name that
says it all: ``key:orders/2`` (two at once) or ``rate:orders/5/60000`` (five
starts in 60,000 ms). Whoever has the same key counts against the same number,
and each request applies the limit that it came with; so nothing must be
declared first, and nothing is left when nobody uses the key.
"""

from __future__ import annotations

import re

from talka_core.limits import SECONDS, Bound, Path, check_number
from talka_core.payloads import KINDS
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task, Workflow

KEY_LENGTH_MAX = 200

_KEYED = re.compile(r"(key:.+)/(\d+)|(rate:.+)/(\d+)/(\d+)", re.DOTALL)
_LIMIT = Bound(1, 10_000, is_whole=True)


def amounts_of(task: Task) -> dict[str, float]:
    """Return what an attempt of the task takes up: its resources, and places under the limits of its keys."""
    amounts = task.resources.amounts()
    if task.concurrency is not None:
        amounts[f"key:{task.concurrency.key}/{task.concurrency.limit}"] = 1.0
    if task.rate is not None:
        period_ms = max(1, round(task.rate.per_seconds * 1000))
        amounts[f"rate:{task.rate.key}/{task.rate.starts}/{period_ms}"] = 1.0
    return amounts


def is_keyed(name: str) -> bool:
    """Tell whether an amount is a place under the limit of a key."""
    return name.startswith(("key:", "rate:")) and _KEYED.fullmatch(name) is not None


def is_rate(name: str) -> bool:
    """Tell whether an amount comes back when its time is over, and not with the allocation."""
    return name.startswith("rate:") and is_keyed(name)


def counter_of(name: str) -> str:
    """Return what an amount counts against: its key without the limit, or itself."""
    found = _KEYED.fullmatch(name)
    return (found[1] or found[3]) if found else name


def limit_of(name: str) -> int:
    """Return how many may count against the key of a keyed amount."""
    found = _KEYED.fullmatch(name)
    assert found is not None, f"{name} is no keyed amount"
    return int(found[2] or found[4])


def period_of(name: str) -> int:
    """Return how long a start counts against its rate, in milliseconds."""
    found = _KEYED.fullmatch(name)
    assert found is not None, f"{name} is no keyed amount"
    return int(found[5])


def check_keys(workflow: Workflow) -> None:
    """Refuse keys that say nothing and limits that let nothing run.

    Raises:
        WorkflowInvalidError: with the code ``bad_number`` or ``bad_key``, and the place.
    """
    for position, task in enumerate(workflow.tasks):
        whose = f"Task {task.id!r}: "
        if task.agent_type in KINDS and (task.concurrency or task.rate):
            raise WorkflowInvalidError(
                f"{whose}no worker runs tasks of type {task.agent_type!r}, so no limit per key applies.",
                hint="Put concurrency and rate on the tasks that workers run.",
                code="bad_key",
                path=("tasks", position),
            )
        if task.concurrency is not None:
            path: Path = ("tasks", position, "concurrency")
            _check_key(task.concurrency.key, path, whose)
            check_number(task.concurrency.limit, _LIMIT, (*path, "limit"), whose)
        if task.rate is not None:
            path = ("tasks", position, "rate")
            _check_key(task.rate.key, path, whose)
            check_number(task.rate.starts, _LIMIT, (*path, "starts"), whose)
            check_number(task.rate.per_seconds, SECONDS, (*path, "per_seconds"), whose)


def _check_key(key: str, path: Path, whose: str) -> None:
    if not key.strip() or len(key) > KEY_LENGTH_MAX or not key.isprintable():
        raise WorkflowInvalidError(
            f"{whose}{path[-1]}.key is {key[:60]!r}.",
            hint=f"Give 1 to {KEY_LENGTH_MAX} printable characters; ${{input.NAME}} may stand in it.",
            code="bad_key",
            path=(*path, "key"),
        )
