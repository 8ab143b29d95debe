"""Where executions stand that were asked for lately: each is read on from where it was.

What is answered holds everything that was recorded before it was asked. An execution is there as soon as
this gateway has put it on file, or any planner has recorded it: until a scheduler begins it, it is accepted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Container

from msgspec import Struct, field

from talka_core.history import FOLDS, apply
from talka_core.scheduler import ExecutionRecord
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.ports import Log
from talka_protocols.subjects import EXECUTION
from talka_services.client.histories import Histories
from talka_services.gateway.documents import ExecutionDocument, document_of, on_file

KEPT = 64


class _Entry(Struct):
    state: ExecutionRecord | None = None
    position: int = 0
    document: ExecutionDocument | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Recent:
    """The executions of a namespace that were asked for last; ``submitted`` are those we put on file."""

    def __init__(self, log: Log, histories: Histories, submitted: Container[str] = ()) -> None:
        self._log = log
        self._histories = histories
        self._submitted = submitted
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
        """Return where an execution stands, and the position of its last commit; 0 if it has yet to begin.

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
            except UnknownExecutionError:
                return await self._on_file(execution_id), 0
            except BaseException:
                # What was folded in part is of no use to anybody.
                entry.state = entry.document = None
                raise

    async def _on_file(self, execution_id: str) -> ExecutionDocument:
        """Return where an execution stands whose log has not begun."""
        plan = await self._histories.plan(execution_id)
        if plan.version == 0 and execution_id not in self._submitted:
            raise UnknownExecutionError(execution_id)
        return on_file(plan)

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
