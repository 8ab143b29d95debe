"""Following executions to their end: their results as soon as they are over, their status meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec.structs import replace

from talka_core.scheduler import ExecutionRecord
from talka_core.status import result_of, status_of
from talka_protocols.ports import Blobs
from talka_protocols.results import ExecutionStatus, WorkflowResult
from talka_protocols.workflow import ClaimCheck
from talka_services.client.histories import Histories

STATUS_S = 0.1
"""How often a watcher gets a status at the most."""
UNKNOWN_S = 5.0
"""How long an id that somebody else must have submitted may be unknown to everybody."""


class Following:
    """The operations that only read; ``submitted`` has the ids that this client submitted itself."""

    histories: Histories
    blobs: Blobs
    submitted: dict[str, None]

    async def wait(self, execution_id: str, *, load_results: bool = True) -> WorkflowResult:
        """Return the result of an execution when it is over.

        Large results are loaded unless ``load_results`` is false; then they
        stay claim checks, for ``load``. However long an outage of the server
        lasts, it is waited for.

        Raises:
            UnknownExecutionError: this client did not submit it, and for five seconds nobody knew it.
        """
        if execution_id not in self.submitted:
            await self.histories.until_begun(execution_id, UNKNOWN_S)
        state: ExecutionRecord | None = None
        async with aclosing(self.histories.follow(execution_id)) as states:
            async for current in states:
                state = current
        assert state is not None, "following ends only with a state"
        result = result_of(state)
        return await self._loaded(result) if load_results else result

    async def _loaded(self, result: WorkflowResult) -> WorkflowResult:
        tasks = {
            task_id: replace(task, result=await self.load(task.result))
            if isinstance(task.result, ClaimCheck)
            else task
            for task_id, task in result.tasks.items()
        }
        return replace(result, tasks=tasks)

    async def load(self, claim: ClaimCheck) -> Any:
        """Return a large result by its claim check."""
        return msgspec.json.decode(await self.blobs.get(claim))

    async def watch(self, execution_id: str) -> AsyncGenerator[ExecutionStatus]:
        """Yield the execution's status as it changes, at most ten times a second, and the last one.

        Raises:
            UnknownExecutionError: this client did not submit it, and for five seconds nobody knew it.
        """
        news = asyncio.Event()
        latest: list[ExecutionRecord] = []

        async def follow() -> None:
            await self.until_begun(execution_id)
            async with aclosing(self.histories.follow(execution_id)) as states:
                async for state in states:
                    latest[:] = [state]
                    news.set()

        following = asyncio.create_task(follow(), name=f"watch {execution_id}")
        following.add_done_callback(lambda _task: news.set())
        try:
            while not (following.done() and not following.cancelled() and following.exception()):
                await news.wait()
                news.clear()
                if latest:
                    status = status_of(latest[0])
                    yield status
                    if status.is_final:
                        return
                await asyncio.sleep(STATUS_S)
            await following
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def until_begun(self, execution_id: str) -> None:
        """Wait for an execution's log; that of one's own submission, which is on file, without end."""
        is_own = execution_id in self.submitted
        await self.histories.until_begun(execution_id, None if is_own else UNKNOWN_S)
