"""Schedules: setting them, looking at them, and what people do with them."""

from __future__ import annotations

from uuid import uuid4

from talka_core.starter import ScheduleRecord
from talka_core.starter.decide import check_name, first_due
from talka_core.starter.status import schedule_status
from talka_protocols.errors import CallerError, UnknownScheduleError
from talka_protocols.events import Event, ScheduleFired, ScheduleSet
from talka_protocols.messages import (
    PauseSchedule,
    PutSchedule,
    Recipient,
    RemoveSchedule,
    ResumeSchedule,
    RunSchedule,
    StarterMessage,
    SubmitWorkflow,
)
from talka_protocols.schedules import Schedule, ScheduleState, ScheduleStatus
from talka_protocols.subjects import SCHEDULE, is_token
from talka_services.client.histories import Histories
from talka_services.client.requests import Requests, request_id_of
from talka_services.runner.ports import Clock

SHOWN = (ScheduleState.ACTIVE, ScheduleState.PAUSED)


def put_schedule(
    name: str,
    submission: SubmitWorkflow,
    schedule: Schedule,
    clock: Clock,
    execution_id: str = "",
    request_id: str = "",
) -> PutSchedule:
    """Return the request that sets a schedule.

    Raises:
        ScheduleInvalidError: the schedule makes no sense, or would never start anything.
        CallerError: the name cannot be used.
    """
    if not is_token(name):
        raise CallerError(
            f"The schedule's name {name!r} cannot be used.",
            hint="Use letters, digits, '-' and '_', at most 100 of them.",
        )
    check_name(name)
    first_due(schedule, clock.now_ms())
    chosen = request_id or uuid4().hex
    return PutSchedule(name, schedule, submission.workflow, submission.definition, execution_id, chosen)


class Schedules:
    """The schedules of one namespace; a request is heard once under its ``request_id``."""

    def __init__(self, requests: Requests, histories: Histories) -> None:
        self._requests = requests
        self._histories = histories

    async def put(self, request: PutSchedule) -> ScheduleSet:
        """Set a schedule, in place of the one that had its name, and return what was recorded.

        Raises:
            RequestRefusedError: the starter recorded why it cannot be set.
            UnknownScheduleError: it was set long ago, and has been removed since.
        """
        state, after = await self._histories.schedule(request.name)
        if request.request_id in state.requests:
            name = self._histories.schedule_name(request.name)
            events = await self._requests.answered(name, request.request_id)
        else:
            events = await self._ask(request, after)
        found = next((event for event in events if isinstance(event, ScheduleSet)), None)
        return found or _as_it_is(state, request)

    async def get(self, name: str) -> ScheduleStatus:
        """Return where a schedule stands.

        Raises:
            UnknownScheduleError: there was none of this name, or its log was removed since.
        """
        state, _ = await self._histories.schedule(name)
        if state.workflow is None and not state.version:
            raise UnknownScheduleError(name)
        return schedule_status(state)

    async def list(self, *, is_all: bool = False) -> list[ScheduleStatus]:
        """Return the schedules by name: those that will start something, or also those that are over."""
        names = await self._histories.names(SCHEDULE)
        found = [await self.get(name) for name in names]
        return [status for status in found if is_all or status.state in SHOWN]

    async def pause(self, name: str, *, request_id: str = "") -> ScheduleStatus:
        """Let nothing be due until the schedule is resumed.

        Raises:
            UnknownScheduleError: there is no such schedule.
        """
        await self._request(PauseSchedule(name, request_id or uuid4().hex))
        return await self.get(name)

    async def resume(self, name: str, *, request_id: str = "") -> ScheduleStatus:
        """Go on with the first due time from now on.

        Raises:
            UnknownScheduleError: there is no such schedule.
            RequestRefusedError: its only due time has passed.
        """
        await self._request(ResumeSchedule(name, request_id or uuid4().hex))
        return await self.get(name)

    async def remove(self, name: str, *, request_id: str = "") -> ScheduleStatus:
        """Start nothing any more; what runs goes on.

        Raises:
            UnknownScheduleError: there is no such schedule.
        """
        await self._request(RemoveSchedule(name, request_id or uuid4().hex))
        return await self.get(name)

    async def run(self, name: str, *, execution_id: str = "") -> str:
        """Start one execution now, whatever is due or runs, and return its id; the same id starts it once.

        Raises:
            UnknownScheduleError: there is no such schedule.
        """
        chosen = execution_id or f"{name}-{uuid4().hex[:8]}"
        state, _ = await self._histories.schedule(name)
        if state.schedule is not None and chosen in state.by_hand:
            return chosen
        request = RunSchedule(name, chosen, uuid4().hex)
        fired = next(event for event in await self._request(request) if isinstance(event, ScheduleFired))
        return fired.execution_id

    async def _request(self, message: StarterMessage) -> tuple[Event, ...]:
        state, after = await self._histories.schedule(message.key)
        request_id = request_id_of(message)
        if request_id in state.requests:
            return await self._requests.answered(self._histories.schedule_name(message.key), request_id)
        if state.schedule is None:
            raise UnknownScheduleError(message.key)
        return await self._ask(message, after)

    async def _ask(self, message: StarterMessage, after: int) -> tuple[Event, ...]:
        name = self._histories.schedule_name(message.key)
        return await self._requests.ask(Recipient.STARTER, message, name, after)


def _as_it_is(state: ScheduleRecord, request: PutSchedule) -> ScheduleSet:
    """Answer a repeat of what has been pruned by how the schedule stands."""
    if state.schedule is None:
        raise UnknownScheduleError(request.name)
    return ScheduleSet(
        state.schedule,
        state.next_at,
        state.anchor_at,
        state.workflow,
        state.definition,
        state.execution_id,
        request.request_id,
    )
