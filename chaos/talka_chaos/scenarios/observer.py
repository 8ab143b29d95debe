"""Somebody who reads the logs all the time, and holds every answer against those that came before it.

A log only grows, so its reads are linearizable if each one that begins after
another has ended extends what that one had returned. Outcomes are events of
the log, so this holds for what is recorded of every task as well, and nothing
that anybody has ever read may be gone later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from talka_protocols.errors import PlatformError
from talka_protocols.ports import StoredCommit
from talka_services.client import Orchestrator

EVERY_S = 0.1
PATIENCE_S = 5.0


class Observer:
    """The longest answer so far of every log, and each answer that did not extend an earlier one.

    ``reads`` counts the answers.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.reads = 0
        self._longest: dict[str, Sequence[StoredCommit]] = {}

    async def watch(self, orchestrator: Orchestrator, execution_ids: Collection[str]) -> None:
        """Read the logs of the executions there are, for ever; several may do so at once."""
        while True:
            for execution_id in list(execution_ids):
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await self.look(orchestrator, execution_id)
                except (PlatformError, TimeoutError):
                    # No answer says nothing about the log.
                    continue
            await asyncio.sleep(EVERY_S)

    async def look(self, orchestrator: Orchestrator, execution_id: str) -> None:
        """Read one log, and compare it with the longest answer that there was before the question."""
        before = self._longest.get(execution_id, ())
        name = orchestrator.histories.name(execution_id)
        found = await orchestrator.node.ports.log.read(name)
        self.reads += 1
        if list(found[: len(before)]) != list(before):
            self.violations.append(
                f"R1 {name}: a read gave {len(found)} commits after one that had ended gave {len(before)}"
            )
        if len(found) > len(self._longest.get(execution_id, ())):
            self._longest[execution_id] = found
