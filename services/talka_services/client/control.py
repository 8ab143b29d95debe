"""What a client may ask of executions that have begun: pause, resume, release, roll back, restart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from uuid import uuid4

from talka_core.status import status_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Event
from talka_protocols.messages import (
    CancelSingleTask,
    PauseExecution,
    ReleaseTask,
    ReprioritizeExecution,
    ResumeExecution,
    SchedulerMessage,
)
from talka_protocols.policies import Then
from talka_protocols.results import ExecutionStatus, RollbackPlan
from talka_services.client.histories import Histories
from talka_services.client.ordering import order_under
from talka_services.client.replanning import Replanning, replan
from talka_services.client.rewinding import plan_rollback, restart_request, rollback_request, saved_by


class Controls(ABC):
    """The operations that need nothing but a way to ask a scheduler, and the histories.

    A request that is made again under the same ``request_id`` is heard once,
    and answered as it was the first time; without one it is a new request.
    """

    histories: Histories

    @abstractmethod
    async def request(self, message: SchedulerMessage) -> tuple[Event, ...]:
        """Ask a scheduler for something, and return the events that the request led to."""

    async def get_execution_status(self, execution_id: str) -> ExecutionStatus:
        """Return where an execution stands.

        Raises:
            UnknownExecutionError: there is no such execution.
        """
        return status_of(await self.histories.execution(execution_id))

    async def cancel_task(
        self,
        execution_id: str,
        task_id: str,
        *,
        reason: str = "",
        is_forced: bool = False,
        request_id: str = "",
    ) -> None:
        """Ask one task to stop, and let the execution go on without it.

        What has not begun ends at once, and so does a task that waits; what runs is asked to end, with
        its sub-workflow, or is killed if this ``is_forced``, also where an earlier request left it
        running. The task counts as failed: what needs it follows its ``on_failure``. It returns when
        the request is recorded.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it is over or being rolled back, or has no such task, or that is over.
        """
        await self.request(CancelSingleTask(execution_id, _named(request_id), task_id, reason, is_forced))

    async def pause(
        self, execution_id: str, task_id: str = "", *, reason: str = "", request_id: str = ""
    ) -> None:
        """Let nothing new start, of the execution or of one task; what runs goes on.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it is over or being stopped, or has no such task.
        """
        await self.request(PauseExecution(execution_id, _named(request_id), task_id, reason))

    async def resume(
        self, execution_id: str, task_id: str = "", *, seconds: float | None = None, request_id: str = ""
    ) -> None:
        """Let the work go on, after a pause or after the execution's time limit.

        Args:
            execution_id: one that is paused, or that ended ``timed_out``: then it goes on where it stopped.
            task_id: only this task, which was paused by itself.
            seconds: the time that the execution gets from now on; by default what was left of its
                limit, or, where none was left, the whole limit once more.
            request_id: as for every request; see the class.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it is neither paused nor timed out.
        """
        limit_ms = 0 if seconds is None else max(1, round(seconds * 1000))
        await self.request(ResumeExecution(execution_id, _named(request_id), task_id, limit_ms))

    async def release_task(
        self, execution_id: str, task_id: str, *, is_failed: bool = False, request_id: str = ""
    ) -> None:
        """Let a parked task run again, or have failed.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it has no such task, or that is not parked.
        """
        await self.request(ReleaseTask(execution_id, _named(request_id), task_id, is_failed))

    async def reprioritize(
        self, execution_id: str, *, strategy: str = "", priority: int | None = None, request_id: str = ""
    ) -> None:
        """Let what has not started go by another strategy, or by one priority for all tasks.

        Under the strategy ``deadline`` an order is planned for what the pool has now.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it is over, or there is no such strategy or priority.
        """
        order = await order_under(self.histories, execution_id, strategy)
        request = ReprioritizeExecution(execution_id, _named(request_id), strategy, priority, order)
        await self.request(request)

    async def replan(self, execution_id: str, *, seconds: float) -> Replanning:
        """Search for a shorter schedule of what is left, and let the execution go by it if there is one.

        The search takes so many seconds of CPU time in a process of its own; meanwhile the execution
        goes on. It returns what came of it, also where the schedule came too late.

        Raises:
            UnknownExecutionError: there is no such execution.
            PlatformError: the search failed; the execution goes on as before.
        """
        return await replan(self.histories, self.request, execution_id, seconds)

    async def rollback(
        self,
        execution_id: str,
        to: int | str,
        *,
        then: Then = Then.CONTINUE,
        accept_irreversible: bool = False,
        request_id: str = "",
    ) -> ExecutionStatus:
        """Undo what came after an event, or after the end of a task, and go on from there or stop.

        It returns when that has begun; ``wait`` returns when the execution is over.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it cannot be done; ``plan_rollback`` says so beforehand.
        """
        request = rollback_request(
            execution_id, to, then, accepts_irreversible=accept_irreversible, request_id=_named(request_id)
        )
        await self.request(request)
        return await self.get_execution_status(execution_id)

    async def plan_rollback(
        self, execution_id: str, to: int | str, *, accept_irreversible: bool = False
    ) -> RollbackPlan:
        """Return what ``rollback`` would do now, and do nothing.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it cannot be done.
        """
        request = rollback_request(execution_id, to, accepts_irreversible=accept_irreversible)
        return await plan_rollback(self.histories, request)

    async def restart(
        self,
        execution_id: str,
        *,
        from_task: str = "",
        from_event: int = 0,
        checkpoint: int = 0,
        request_id: str = "",
    ) -> ExecutionStatus:
        """Run a task and all behind it again, or what had not ended at an event, or all that did not succeed.

        Everything else keeps its result and is not run. With ``checkpoint``, an
        event, ``from_task`` goes on from what it had saved by then. It returns
        when that has begun.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: it cannot be done.
        """
        if checkpoint and not from_task:
            raise RequestRefusedError(
                "A checkpoint is one task's, and no task was named.",
                hint="Say which task goes on from it: --from TASK.",
                code="no_checkpoint",
            )
        saved = await saved_by(self.histories, execution_id, from_task, checkpoint) if checkpoint else None
        await self.request(restart_request(execution_id, from_task, from_event, _named(request_id), saved))
        return await self.get_execution_status(execution_id)


def _named(request_id: str) -> str:
    return request_id or uuid4().hex
