"""Where executions stand that were asked for lately: each is read on from where it was.

What is answered holds everything that was recorded before it was asked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from msgspec import Struct, field

from talka_core.history import FOLDS, apply
from talka_core.scheduler import ExecutionRecord
from talka_protocols.ports import Log
from talka_protocols.subjects import EXECUTION
from talka_services.client.histories import Histories
from talka_services.gateway.documents import ExecutionDocument, document_of

KEPT = 64


class _Entry(Struct):
    state: ExecutionRecord | None = None
    position: int = 0
    document: ExecutionDocument | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Recent:
    """The executions of one namespace that were asked for last."""

    def __init__(self, log: Log, histories: Histories) -> None:
        self._log = log
        self._histories = histories
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def document(self, execution_id: str) -> ExecutionDocument:
        """Return where an execution stands.

        Raises:
            UnknownExecutionError: there is no such execution.
            BrokenHistoryError: its log cannot be folded.
        """
        document, _ = await self.standing(execution_id)
        return document

    async def standing(self, execution_id: str) -> tuple[ExecutionDocument, int]:
        """Return where an execution stands, and the position of its last commit.

        Raises:
            UnknownExecutionError: there is no such execution.
            BrokenHistoryError: its log cannot be folded.
        """
        entry = self._entries.setdefault(execution_id, _Entry())
        self._entries.move_to_end(execution_id)
        if len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        async with entry.reading:
            try:
                return await self._read(execution_id, entry), entry.position
            except BaseException:
                # What was folded in part is of no use to anybody.
                entry.state = entry.document = None
                raise

    async def _read(self, execution_id: str, entry: _Entry) -> ExecutionDocument:
        if entry.state is None:
            entry.state, entry.position = await self._histories.latest(execution_id)
            entry.document = None
        elif stored := await self._log.read(self._histories.name(execution_id), entry.position):
            commits = [await self._histories.decoded(commit) for commit in stored]
            entry.document = None
            apply(FOLDS[EXECUTION], entry.state, commits)
            entry.position = stored[-1].position
        if entry.document is None:
            entry.document = document_of(entry.state)
        return entry.document
