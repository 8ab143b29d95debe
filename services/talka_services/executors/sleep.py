"""Waits: the stand-in for work when schedules are tried out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.registry import ExecutorSettings


class SleepPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """How long, in seconds before the time scale, and what to return afterwards."""

    seconds: Annotated[float, Meta(ge=0)]
    result: Any | UnsetType = UNSET


class SleepExecutor:
    """Runs ``sleep`` tasks: result is the payload's ``result``, or ``{slept_s}``."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._time_scale = settings.time_scale

    async def execute(self, attempt: Attempt) -> Any:
        """Wait, then return.

        Raises:
            TaskFailedError: the payload is wrong.
        """
        try:
            payload = msgspec.convert(attempt.task.payload, SleepPayload)
        except msgspec.ValidationError as error:
            raise TaskFailedError(
                f"The payload of the sleep task {attempt.task.id!r} is wrong: {error}.",
                hint="It takes seconds (at least 0) and result.",
            ) from error
        seconds = payload.seconds * self._time_scale
        await asyncio.sleep(seconds)
        return {"slept_s": seconds} if payload.result is UNSET else payload.result

    async def close(self) -> None:
        """Hold nothing."""
