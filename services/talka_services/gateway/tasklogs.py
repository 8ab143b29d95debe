"""What the attempts of a task print and log: what is kept now, and what comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from talka_protocols.tasklogs import Channel, Printed
from talka_services.client.tasklogs import follow_tasklog, read_tasklog
from talka_services.gateway.calls import Call
from talka_services.gateway.executions import TASK
from talka_services.gateway.operations import EVENT_STREAM, Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.streams import live_response


class OfAttempt(Struct, frozen=True, forbid_unknown_fields=True):
    """Which attempt."""

    attempt: Annotated[int, Meta(ge=0, description="Only this attempt; all of them if left out.")] = 0


class LogPart(Struct, frozen=True):
    """Some text of one attempt, as it came: whole lines or parts of them.

    ``at`` is when its worker had it (Unix seconds); ``dropped`` bytes behind it were not kept.
    """

    attempt: int
    channel: Channel
    at: float
    worker: str
    text: str
    dropped: int


class TaskLog(Struct, frozen=True):
    """What a task has printed and logged, as it came; ``next`` is the cursor of the next page."""

    parts: list[LogPart]
    next: str | None


class LogSpan(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which part of a task's log."""

    attempt: Annotated[int, Meta(ge=0, description="Only this attempt; all of them if left out.")] = 0


async def get_task_log(call: Call, execution_id: str, task_id: str, query: LogSpan) -> TaskLog:
    """Show what a task has printed and logged; it is kept for seven days."""
    await call.histories.latest(execution_id)
    reading = read_tasklog(call.orchestrator.node.connection, execution_id)
    async with aclosing(reading) as source:
        found = [each async for each in source if _is_wanted(each, task_id, query.attempt)]
    chosen, following = paged(enumerate(found), lambda item: item[0], query, int)
    return TaskLog([_part(each) for _, each in chosen], following)


async def stream_task_log(
    call: Call, execution_id: str, task_id: str, query: OfAttempt
) -> Annotated[Response, LogPart]:
    """Follow what a task prints and logs, from its first line until the execution is over.

    Each message is a `part`, and the last one `over`. A reader that reconnects gets all of it again.
    """
    await call.histories.latest(execution_id)
    return live_response(call, _parts(call, execution_id, task_id, query))


async def _parts(call: Call, execution_id: str, task_id: str, query: OfAttempt) -> AsyncGenerator[bytes]:
    following = follow_tasklog(call.orchestrator.node.connection, call.histories, execution_id)
    async with aclosing(following) as source:
        async for printed in source:
            if _is_wanted(printed, task_id, query.attempt):
                yield b"event: part\ndata: %s\n\n" % msgspec.json.encode(_part(printed))
    yield b"event: over\ndata: {}\n\n"


def _is_wanted(printed: Printed, task_id: str, attempt: int) -> bool:
    return printed.task_id == task_id and attempt in (0, printed.attempt)


def _part(printed: Printed) -> LogPart:
    return LogPart(
        printed.attempt,
        printed.channel,
        printed.at / 1000,
        printed.worker_id,
        printed.text,
        printed.dropped,
    )


OPERATIONS = (
    Operation("GET", f"{TASK}/logs", get_task_log, "tasks"),
    Operation("GET", f"{TASK}/logs/stream", stream_task_log, "tasks", answers=EVENT_STREAM),
)
