"""Reads what the tasks of an execution have printed, and goes on while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from talka_protocols.seals import place_of_subject
from talka_protocols.tasklogs import Printed
from talka_services.client.histories import Histories
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.feed import Feed
from talka_services.telemetry import get_logger

log = get_logger(__name__)

SETTLE_S = 0.5
"""How long what an attempt printed last may take into the stream behind the report of its end."""

_decode = msgspec.json.Decoder(list[Printed]).decode


async def read_tasklog(connection: Connection, execution_id: str) -> AsyncGenerator[Printed]:
    """Yield what is kept now, in the order in which it came."""
    names = connection.names
    stream, subject = names.stream("tasklog"), names.tasklog(execution_id)
    last = await last_message(connection, stream, subject)
    if last is None:
        return
    feed = Feed(connection, stream, subject, 0)
    try:
        while feed.position < last.seq:
            for _, message in await feed.next():
                for printed in _printed(connection, message):
                    yield printed
    finally:
        await feed.close()


async def follow_tasklog(
    connection: Connection, histories: Histories, execution_id: str
) -> AsyncGenerator[Printed]:
    """Yield what is kept and what comes, until the execution is over.

    Raises:
        UnknownExecutionError: there is no such execution.
    """
    names = connection.names
    feed = Feed(connection, names.stream("tasklog"), names.tasklog(execution_id), 0)
    ending = asyncio.create_task(_ended(histories, execution_id))
    arriving = asyncio.create_task(feed.next())
    try:
        while True:
            # Behind the end only what is already on its way is waited for.
            patience_s = SETTLE_S if ending.done() else None
            await asyncio.wait(
                {arriving} if ending.done() else {arriving, ending},
                timeout=patience_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if arriving.done():
                arrived, arriving = arriving.result(), asyncio.create_task(feed.next())
                for _, message in arrived:
                    for printed in _printed(connection, message):
                        yield printed
            elif patience_s is not None:
                break
        ending.result()
    finally:
        for task in (arriving, ending):
            task.cancel()
        await asyncio.gather(arriving, ending, return_exceptions=True)
        await feed.close()


async def _ended(histories: Histories, execution_id: str) -> None:
    """Return when the execution is over."""
    async with aclosing(histories.follow(execution_id)) as states:
        async for state in states:
            log.debug("tasklog.followed", execution_id=execution_id, version=state.version)


def _printed(connection: Connection, message: Message) -> list[Printed]:
    place = place_of_subject(connection.names, message.subject)
    return printed_in(connection.vault.open_if_whole(place, message.data), message.subject)


def printed_in(body: bytes, subject: str) -> list[Printed]:
    """Return what a message of the stream holds of the tasks' output."""
    try:
        return _decode(body)
    except (ValueError, RecursionError) as error:
        # Anybody may publish there; what is none of ours is none of the tasks'.
        log.warning("tasklog.unreadable", subject=subject, error=str(error))
        return []
