"""What the outside tells an execution: signals, and answers to what tasks ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Raw

from talka_core.limits import DEPTH_MAX, check_id
from talka_core.nesting import is_deeper
from talka_core.payloads import APPROVE
from talka_core.scheduler.arrivals import SIGNAL_REPEATED
from talka_protocols.errors import CallerError, RequestRefusedError
from talka_protocols.events import Event
from talka_protocols.messages import AnswerApproval, SchedulerMessage, SignalExecution
from talka_protocols.subjects import is_token
from talka_protocols.workflow import INLINE_BYTES_MAX


class Answering(ABC):
    """The operations by which somebody outside tells an execution what its tasks wait for."""

    @abstractmethod
    async def request(self, message: SchedulerMessage) -> tuple[Event, ...]:
        """Ask a scheduler for something, and return the events that the request led to."""

    @abstractmethod
    async def until_begun(self, execution_id: str) -> None:
        """Return when the execution has begun."""

    async def signal(
        self, execution_id: str, name: str, data: Any = None, *, signal_id: str | None = None
    ) -> bool:
        """Send a signal to an execution; the first task that waits for its name ends with the data.

        It is kept if no task waits for it yet. The same ``signal_id`` counts
        once: False says that it had been recorded before.

        Raises:
            UnknownExecutionError: this client did not submit it, and for five seconds nobody knew it.
            RequestRefusedError: the execution is over or keeps too many signals.
            CallerError: the name, the id or the size of the data cannot be.
        """
        await self.until_begun(execution_id)
        try:
            await self.request(_signal(execution_id, name, data, signal_id))
        except RequestRefusedError as error:
            if error.code != SIGNAL_REPEATED:
                raise
            return False
        return True

    async def approve(
        self,
        execution_id: str,
        task_id: str,
        choice: str = APPROVE,
        *,
        by: str = "",
        comment: str = "",
        request_id: str = "",
    ) -> None:
        """Answer what a task of type ``approval`` asks; once under a ``request_id``.

        Raises:
            UnknownExecutionError: this client did not submit it, and for five seconds nobody knew it.
            RequestRefusedError: the task does not ask, or not for that: it is answered or over already.
        """
        await self.until_begun(execution_id)
        await self.request(AnswerApproval(execution_id, task_id, choice, by, comment, request_id))


def _signal(execution_id: str, name: str, data: Any, signal_id: str | None) -> SignalExecution:
    check_id(name, ("name",), "name of a signal")
    encoded = msgspec.json.encode(data)
    if is_deeper(encoded, DEPTH_MAX):
        raise CallerError(f"The data of a signal may have {DEPTH_MAX} levels.")
    if len(encoded) > INLINE_BYTES_MAX:
        raise CallerError(
            f"The data of a signal may have {INLINE_BYTES_MAX:,} bytes, not {len(encoded):,}.",
            hint="Keep it in a file or a store, and send its address.",
        )
    chosen = signal_id or uuid4().hex
    if not is_token(chosen):
        raise CallerError(
            f"The signal id {chosen!r} cannot be used.",
            hint="Use letters, digits, '-' and '_', at most 128 of them.",
        )
    return SignalExecution(execution_id, name, chosen, Raw(encoded))
