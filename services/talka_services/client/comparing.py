"""Reads two executions, wherever each is recorded, and compares them."""

from __future__ import annotations

from typing import cast

from talka_core.comparison import Comparison, Numbered, compare
from talka_core.scheduler import ExecutionRecord
from talka_services.client.histories import Histories

Told = tuple[ExecutionRecord, Numbered]


async def told(histories: Histories, execution_id: str) -> Told:
    """Return an execution's state now, and its events with their versions.

    Raises:
        UnknownExecutionError: there is no such execution.
    """
    state = await histories.execution(execution_id)
    commits = await histories.commits(histories.name(execution_id))
    numbered = [(version, event) for _, commit in commits for version, _, event in commit.events()]
    return state, cast("Numbered", numbered)


def compared(first: Told, second: Told) -> Comparison:
    """Say where two executions part, and where the time of each went."""
    return compare(first[0], second[0], first[1], second[1])
