"""Looks for shorter schedules while executions run, beside the planner and never in its loop.

What it finds it proposes to the scheduler. It keeps nothing: if its process dies, what it would
have found is lost, and the execution goes on by the plan that it has.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

from talka_core.behaviour import Effect, Improve
from talka_protocols.errors import TalkaError
from talka_protocols.events import Event
from talka_protocols.messages import ProposeBaseline, Recipient
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

SEARCHES_MAX = 10
"""So often at most an execution is planned anew, each time after it left its schedule."""

log = get_logger(__name__)


class Improver:
    """The background searches of one process, of which one runs at a time."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._turn = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def perform(self, effect: Effect) -> None:
        """Begin to look after an execution."""
        assert isinstance(effect, Improve), f"a planner performs no {type(effect).__name__}"
        task = asyncio.create_task(self._attend(effect), name=f"improve {effect.execution_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give every search up."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _attend(self, effect: Improve) -> None:
        try:
            await self._improve(effect.execution_id, effect.limit_s)
        except TalkaError as error:
            log.warning("improver.failed", execution_id=effect.execution_id, error=str(error))
        except Exception:
            log.exception("improver.crashed", execution_id=effect.execution_id)

    async def _improve(self, execution_id: str, limit_s: float) -> None:
        """Search when it has begun, and again when something has happened that its schedule did not know."""
        # The client package imports this one for platforms that run embedded.
        from talka_services.client.histories import Histories  # noqa: PLC0415
        from talka_services.client.replanning import replan  # noqa: PLC0415
        from talka_services.client.requests import Requests  # noqa: PLC0415

        ports = self._ports
        histories = Histories(ports.log, ports.blobs, ports.shards, ports.snapshots)
        requests = Requests(ports, histories, f"improver-{uuid4().hex[:16]}", by="")

        async def ask(message: ProposeBaseline) -> tuple[Event, ...]:
            name = histories.name(execution_id)
            return await requests.ask(Recipient.SCHEDULER, message, name, 0)

        looked_at, searches = -1, 0
        async with aclosing(histories.follow(execution_id)) as states:
            async for state in states:
                is_due = looked_at < 0 or (state.is_off_baseline and state.plan_version > looked_at)
                if not state.started_at or not is_due:
                    continue
                looked_at, searches = state.plan_version, searches + 1
                async with self._turn:
                    found = await replan(histories, ask, execution_id, limit_s)
                log.info(
                    "improver.searched",
                    execution=execution_id,
                    before_s=found.before_s,
                    after_s=found.after_s,
                    outcome=found.code or "adopted",
                )
                if searches == SEARCHES_MAX:
                    return
