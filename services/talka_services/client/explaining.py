"""Gathers what an explanation looks at: an execution, its sub-workflows, their pools, and who holds what."""

from __future__ import annotations

from collections.abc import Iterable

from talka_core.explanation import Picture, explain
from talka_core.planner import PlanRecord
from talka_core.resource import PoolRecord
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.waiting import WORKFLOW
from talka_core.starter import ScheduleRecord
from talka_protocols.bottlenecks import Bottlenecks
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.explanations import Explanation
from talka_protocols.states import TaskStatus
from talka_services.client.bottlenecks import where_time_went
from talka_services.client.histories import Histories
from talka_services.service.node import Node

HOLDERS_MAX = 20
"""How many other executions that hold something are read, to tell when they will have ended."""


async def explained(
    histories: Histories,
    execution_id: str,
    task_id: str,
    now_ms: int,
    *,
    is_live: bool = True,
    is_submitted: bool = False,
) -> Explanation:
    """Say why a task does not run, or what it did.

    Args:
        histories: Where the execution is recorded.
        execution_id: Of the task; it may be one that has not begun.
        task_id: Of its definition, or added since.
        now_ms: The present instant (Unix milliseconds).
        is_live: Whether pools are recorded there as a whole; an export holds only parts.
        is_submitted: Whether the execution is known to have been submitted, recorded or not.

    Raises:
        UnknownExecutionError: nobody has heard of the execution.
        RequestRefusedError: it has no such task.
    """
    gathered = _Gathered(histories, is_live=is_live)
    await gathered.execution(execution_id)
    if is_submitted and not gathered.is_known(execution_id):
        gathered.plans[execution_id] = PlanRecord(execution_id)
    found = explain(gathered.picture(now_ms), execution_id, task_id)
    holders = {h.execution_id: None for cause in found.causes for h in cause.holders if h.execution_id}
    missing = [name for name in holders if name not in gathered.executions][:HOLDERS_MAX]
    if not missing:
        return found
    for name in missing:
        await gathered.holder(name)
    return explain(gathered.picture(now_ms), execution_id, task_id)


class Explaining:
    """The operations that explain; ``submitted`` has the ids that this client submitted itself."""

    node: Node
    histories: Histories
    submitted: dict[str, None]

    async def explain(self, execution_id: str, task_id: str) -> Explanation:
        """Say why a task does not run now, or what it did; the first cause comes first.

        Raises:
            UnknownExecutionError: nobody has heard of the execution.
            RequestRefusedError: it has no such task.
        """
        now_ms = self.node.ports.clock.now_ms()
        is_own = execution_id in self.submitted
        return await explained(self.histories, execution_id, task_id, now_ms, is_submitted=is_own)

    async def bottlenecks(self, execution_id: str, *, is_simulated: bool = True) -> Bottlenecks:
        """Say where the time of an execution went, and what would have saved some of it.

        Raises:
            UnknownExecutionError: there is no such execution.
            NothingRecordedError: it never started.
        """
        now_ms = self.node.ports.clock.now_ms()
        return await where_time_went(self.histories, execution_id, now_ms, is_simulated=is_simulated)


class _Gathered:
    """The states read so far."""

    def __init__(self, histories: Histories, *, is_live: bool) -> None:
        self._histories = histories
        self._is_live = is_live
        self.executions: dict[str, ExecutionRecord] = {}
        self.plans: dict[str, PlanRecord] = {}
        self._pools: dict[str, PoolRecord] = {}
        self._schedules: dict[str, ScheduleRecord] = {}

    def picture(self, now_ms: int) -> Picture:
        """Return all that has been gathered."""
        return Picture(now_ms, self.executions, self.plans, self._pools, self._schedules)

    def is_known(self, execution_id: str) -> bool:
        """Tell whether anything is recorded about an execution."""
        is_begun = execution_id in self.executions or execution_id in self.plans
        return is_begun or f"at-{execution_id}" in self._schedules

    async def execution(self, execution_id: str) -> None:
        """Read an execution with the sub-workflows that it waits for, or what comes before it."""
        waiting = [execution_id]
        for name in waiting:
            if name in self.executions or not await self.holder(name):
                await self._beginning(name)
                continue
            state = self.executions[name]
            waiting += _children(state)
            if self._is_live and state.pool not in self._pools:
                self._pools[state.pool] = await self._histories.pool(state.pool)
            if not state.tasks:
                await self._beginning(name)

    async def holder(self, execution_id: str) -> bool:
        """Read one execution; tell whether it has begun."""
        try:
            self.executions[execution_id] = await self._histories.execution(execution_id)
        except UnknownExecutionError:
            return False
        return True

    async def _beginning(self, execution_id: str) -> None:
        plan = await self._histories.plan(execution_id)
        if plan.version:
            self.plans[execution_id] = plan
            return
        schedule, _ = await self._histories.schedule(f"at-{execution_id}")
        if schedule.version:
            self._schedules[schedule.name] = schedule


def _children(state: ExecutionRecord) -> Iterable[str]:
    return (
        record.awaited
        for record in state.tasks.values()
        if record.status is TaskStatus.WAITING and record.waiting == WORKFLOW
    )
