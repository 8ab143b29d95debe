"""Triggers: creating them, looking at them, and what people do with them."""

from __future__ import annotations

from uuid import uuid4

from talka_core.trigger.expressions import check_name, check_trigger
from talka_core.trigger.status import trigger_status
from talka_protocols.errors import UnknownTriggerError
from talka_protocols.events import Event
from talka_protocols.messages import (
    CreateTrigger,
    DeleteTrigger,
    PauseTrigger,
    Recipient,
    ResumeTrigger,
    SubmitWorkflow,
    TriggerMessage,
)
from talka_protocols.subjects import TRIGGER
from talka_protocols.triggers import Trigger, TriggerState, TriggerStatus
from talka_services.client.histories import Histories
from talka_services.client.requests import Requests, request_id_of
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.events import last_position


class Triggers:
    """The triggers of one namespace; a request is heard once under its ``request_id``."""

    def __init__(self, requests: Requests, histories: Histories, connection: Connection) -> None:
        self._requests = requests
        self._histories = histories
        self._connection = connection

    async def create(
        self,
        name: str,
        trigger: Trigger,
        submission: SubmitWorkflow | None = None,
        *,
        request_id: str = "",
    ) -> TriggerStatus:
        """Let the events that are published from now on start a checked workflow, or signal an execution.

        Raises:
            TriggerInvalidError: the trigger makes no sense, an expression does not compile, or an input
                is unknown or missing.
            RequestRefusedError: there is one of this name already.
        """
        workflow = submission.workflow if submission is not None else None
        definition = submission.definition if submission is not None else None
        check_name(name)
        check_trigger(trigger, workflow)
        position = await last_position(self._connection)
        chosen = request_id or uuid4().hex
        await self._ask(CreateTrigger(name, chosen, trigger, position, workflow, definition))
        return await self.get(name)

    async def get(self, name: str) -> TriggerStatus:
        """Return where a trigger stands.

        Raises:
            UnknownTriggerError: there was none of this name, or its log was removed since.
        """
        state, _ = await self._histories.trigger(name)
        if not state.generation:
            raise UnknownTriggerError(name)
        return trigger_status(state)

    async def list(self, *, is_all: bool = False) -> list[TriggerStatus]:
        """Return the triggers by name: those that there are, or also those that were deleted lately."""
        names = await self._histories.names(TRIGGER)
        states = [(await self._histories.trigger(name))[0] for name in names]
        found = [trigger_status(state) for state in states if state.generation]
        return [status for status in found if is_all or status.state is not TriggerState.DELETED]

    async def pause(self, name: str, *, request_id: str = "") -> TriggerStatus:
        """Let events lead to nothing until the trigger is resumed.

        Raises:
            UnknownTriggerError: there is no such trigger.
        """
        return await self._request(PauseTrigger(name, request_id or uuid4().hex))

    async def resume(self, name: str, *, request_id: str = "") -> TriggerStatus:
        """Go on with the events that are published from now on.

        Raises:
            UnknownTriggerError: there is no such trigger.
        """
        return await self._request(
            ResumeTrigger(name, request_id or uuid4().hex, await last_position(self._connection))
        )

    async def delete(self, name: str, *, request_id: str = "") -> TriggerStatus:
        """Let events lead to nothing any more; what was fired goes on.

        Raises:
            UnknownTriggerError: there is no such trigger.
        """
        return await self._request(DeleteTrigger(name, request_id or uuid4().hex))

    async def _request(self, message: TriggerMessage) -> TriggerStatus:
        state, _ = await self._histories.trigger(message.key)
        if state.trigger is None and request_id_of(message) not in state.requests:
            raise UnknownTriggerError(message.key)
        await self._ask(message)
        return await self.get(message.key)

    async def _ask(self, message: TriggerMessage) -> tuple[Event, ...]:
        state, after = await self._histories.trigger(message.key)
        name = self._histories.trigger_name(message.key)
        if (request_id := request_id_of(message)) in state.requests:
            return await self._requests.answered(name, request_id)
        return await self._requests.ask(Recipient.TRIGGER, message, name, after)
