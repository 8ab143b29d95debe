"""Planted bugs of the runner, and of the ports it relies on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from talka_protocols.errors import ConflictError
from talka_protocols.ports import Inbox
from talka_protocols.subjects import LogName
from talka_services.memory import MemoryInbox, MemoryLog
from talka_services.runner.actor import Actor
from talka_services.runner.states import Cause, States


def acknowledged_too_early() -> AbstractContextManager[Any]:
    """Deliveries are settled before what they led to is recorded."""
    real: Any = vars(Actor)["_next"]

    async def hasty(self: Actor, inbox: Inbox) -> Any:
        deliveries = await real(self, inbox)
        if deliveries:
            await inbox.acknowledge(deliveries)
        return deliveries

    return patch.object(Actor, "_next", hasty)


def performed_too_early() -> AbstractContextManager[Any]:
    """Effects are performed before what called for them is recorded."""
    real: Any = vars(Actor)["_settle"]

    async def hasty(self: Any, causes: list[Cause]) -> Any:
        states = self._states
        append = states.append

        async def perform_and_append(touched: list[str], epoch: int) -> set[str]:
            await self._performer.perform([item for key in touched for item in states.entries[key].effects])
            refused: set[str] = await append(touched, epoch)
            return refused

        with patch.object(states, "append", perform_and_append):
            return await real(self, causes)

    return patch.object(Actor, "_settle", hasty)


def expected_version_ignored() -> AbstractContextManager[Any]:
    """A log takes a commit wherever it ends."""
    real = MemoryLog.append

    async def append(self: MemoryLog, log: LogName, _after: int, body: bytes, commit_id: str) -> int:
        stored = await self.read(log)
        return await real(self, log, stored[-1].position if stored else 0, body, commit_id)

    return patch.object(MemoryLog, "append", append)


def foreign_commit_taken_for_ours() -> AbstractContextManager[Any]:
    """After a conflict nobody compares whose commit it is that the log ends with."""
    real = MemoryLog.append

    async def append(self: MemoryLog, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        try:
            return await real(self, log, after, body, commit_id)
        except ConflictError:
            return (await self.read(log))[-1].position

    return patch.object(MemoryLog, "append", append)


def redelivery_dropped() -> AbstractContextManager[Any]:
    """What an owner had received and not settled when it died is not delivered to the next one."""
    real = MemoryInbox.__init__

    def __init__(self: Any, mailboxes: Sequence[Any], on_renewed: Any = None) -> None:  # noqa: N807
        for mailbox in mailboxes:
            for _ in range(mailbox.delivered):
                mailbox.unsettled.popleft()
        real(self, mailboxes, on_renewed)

    return patch.object(MemoryInbox, "__init__", __init__)


def orphans_left_behind() -> AbstractContextManager[Any]:
    """A log that the roster missed is not adopted."""

    async def adopt(_self: States, _key: str) -> bool:
        return False

    return patch.object(States, "_adopt", adopt)


RUNNER_MUTANTS = (
    acknowledged_too_early,
    performed_too_early,
    expected_version_ignored,
    foreign_commit_taken_for_ours,
    redelivery_dropped,
    orphans_left_behind,
)
