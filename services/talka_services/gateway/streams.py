"""Live updates as Server-Sent Events, with comments as heartbeats while nothing happens.

The id of each message is where to go on: whoever reconnects says it in
Last-Event-ID and misses nothing. https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from talka_protocols.commit import Commit
from talka_protocols.errors import TalkaError
from talka_protocols.events import Event
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import LogName
from talka_services.client.tailing import event_json, until_over
from talka_services.gateway.calls import Call
from talka_services.gateway.documents import EventDocument, ExecutionDocument, execution_document
from talka_services.gateway.executions import ONE
from talka_services.gateway.operations import EVENT_STREAM, Operation
from talka_services.gateway.problems import VERSION_MAX, bad_request, problem_of

HEARTBEAT_S = 15.0
PIECE_BYTES = 256 * 1024
"""About how much of what is past goes out at a time."""
HEARTBEAT = b": heartbeat\n\n"
LAST = "last-event-id"
Commits = Sequence[tuple[int, Commit[Event]]]
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class FromEvent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"first": "from"}):
    """Where to begin."""

    first: Annotated[
        int, Meta(ge=1, le=VERSION_MAX, description="Begin at this event; Last-Event-ID goes before it.")
    ] = 1


async def stream_events(
    call: Call, execution_id: str, query: FromEvent
) -> Annotated[Response, EventDocument]:
    """Follow an execution's events until it is over.

    The id of a message is the event's version, its event the event's type. The last
    message is `over`, with the execution. 204 says that nothing will follow.
    """
    after = last_id(call, query.first - 1)
    found, position = await call.recent.standing(execution_id)
    if found.status not in FINAL_EXECUTION_STATES:
        return live_response(call, _events(call, execution_id, after, is_begun=position > 0))
    if LAST in call.request.headers and after >= found.version:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    # Read before the answer begins, so that what cannot be read is said in its status.
    log = call.histories.name(execution_id)
    commits = await call.whole.commits(log)
    return live_response(call, _past(commits, log, found, position, after))


async def _events(call: Call, execution_id: str, after: int, *, is_begun: bool) -> AsyncGenerator[bytes]:
    log = call.histories.name(execution_id)
    if not is_begun:
        await call.histories.until_begun(execution_id)
    async with aclosing(until_over(call.histories, execution_id, after)) as commits:
        async for position, commit in commits:
            if messages := _messages(log, position, commit, after):
                yield messages
    document = await call.recent.document(execution_id)
    yield message("over", document, document.version)


async def _past(
    commits: Commits, log: LogName, found: ExecutionDocument, last: int, after: int
) -> AsyncGenerator[bytes]:
    """Send an execution that is over: nothing is folded for it, and no commit stands alone."""
    heap = bytearray()
    for position, commit in commits:
        if position > last:
            break
        heap += _messages(log, position, commit, after)
        if len(heap) >= PIECE_BYTES:
            yield bytes(heap)
            heap.clear()
    yield bytes(heap) + message("over", found, found.version)


def _messages(log: LogName, position: int, commit: Commit[Event], after: int) -> bytes:
    return b"".join(
        _message(
            type(event).__name__, event_json(log, position, version, commit.at, decision, event), version
        )
        for version, decision, event in commit.decided()
        if version > after
    )


class AfterPosition(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin."""

    after: Annotated[
        int,
        Meta(ge=0, description="`position` of a list; everything if left out. Last-Event-ID goes before it."),
    ] = 0


async def stream_executions(call: Call, query: AfterPosition) -> Annotated[Response, ExecutionDocument]:
    """Follow where all executions stand: one message, `execution`, whenever one of them changes."""
    return live_response(call, _changes(call, last_id(call, query.after)))


async def _changes(call: Call, after: int) -> AsyncGenerator[bytes]:
    async with aclosing(call.overview.changes(after)) as changes:
        async for standings in changes:
            yield b"".join(
                message(
                    "execution",
                    execution_document(each.status, each.accepted_at, each.pool),
                    each.position,
                )
                for each in standings
            )


def message(kind: str, data: Any, number: int) -> bytes:
    """Return one message."""
    return _message(kind, msgspec.json.encode(data), number)


def _message(kind: str, data: bytes, number: int) -> bytes:
    """Return one message; JSON has no line breaks, so its data is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), data)


def last_id(call: Call, otherwise: int) -> int:
    """Return where whoever reconnects wants to go on.

    Raises:
        HttpError: it is no number.
    """
    given = call.request.headers.get(LAST)
    if given is None:
        return otherwise
    if not given.isdecimal() or len(given) > 18:
        raise bad_request("bad_parameter", f"Last-Event-ID is {given!r}, and no number.")
    return int(given)


def live_response(call: Call, messages: AsyncGenerator[bytes]) -> Response:
    """Answer with messages as they come, and heartbeats between them."""
    beating = with_heartbeats(messages, call.request.app.state.closing, HEARTBEAT_S)
    return StreamingResponse(beating, headers=HEADERS, media_type=EVENT_STREAM)


async def with_heartbeats(
    messages: AsyncGenerator[bytes], closing: asyncio.Event, pause_s: float
) -> AsyncGenerator[bytes]:
    """Yield the messages, and a comment whenever there was none for a while; end with the gateway."""
    stopping = asyncio.create_task(closing.wait())
    coming = asyncio.ensure_future(anext(messages, b""))
    try:
        yield HEARTBEAT
        while True:
            await asyncio.wait((coming, stopping), timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return
            if not coming.done():
                yield HEARTBEAT
                continue
            arrived = _arrived(coming)
            if not arrived:
                return
            yield arrived
            coming = asyncio.ensure_future(anext(messages, b""))
    finally:
        stopping.cancel()
        coming.cancel()
        await asyncio.wait((coming, stopping))
        await messages.aclose()


def _arrived(coming: asyncio.Future[bytes]) -> bytes:
    """Return the next message; an error is the last one, because the head of the answer has gone out."""
    try:
        return coming.result()
    except TalkaError as error:
        problem = msgspec.json.encode(problem_of(error))
        return b"event: problem\ndata: %s\n\n" % problem


OPERATIONS = (
    Operation(
        "GET",
        f"{ONE}/stream",
        stream_events,
        "history",
        (HTTPStatus.OK, HTTPStatus.NO_CONTENT),
        answers=EVENT_STREAM,
    ),
    Operation("GET", "/stream", stream_executions, "executions", answers=EVENT_STREAM),
)
