"""Takes outside events in: reads their stream in order, and hands each to the triggers that are on its type.

One process at a time does it, by lease. An event counts as taken in when every
request to a trigger is on file; whoever takes over begins there, and triggers
know an event by its names, so one that is handed over twice leads to nothing twice.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol

import msgspec

from talka_core.cloudevents import read_event
from talka_protocols.errors import EventInvalidError, TalkaError
from talka_protocols.messages import Recipient, TakeEvent, sealed
from talka_protocols.ports import Lease
from talka_protocols.subjects import shard_of
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.events import JetStreamEvents
from talka_services.runner.ports import Ports
from talka_services.service.catalogue import Catalogue
from talka_services.telemetry import get_logger

AGAIN_S = 0.5
BATCH = 200
EXCERPT_BYTES = 4_096
HEADERS_KEPT = 32
HEADER_CHARS = 200

log = get_logger(__name__)


async def take_in_events(ports: Ports, connection: Connection, holder: str) -> None:
    """Take events in for as long as this task runs, whenever it is this process's turn."""
    while True:
        lease: Lease | None = None
        try:
            lease = await ports.leases.acquire("events", holder)
            await Intake(ports, JetStreamEvents(connection), Catalogue(ports, connection), lease).run()
        except TalkaError as error:
            log.warning("intake.interrupted", error=str(error))
        except Exception:
            log.exception("intake.crashed")
        finally:
            if lease is not None:
                await _release(lease)
        await asyncio.sleep(AGAIN_S)


async def _release(lease: Lease) -> None:
    try:
        await lease.release()
    except TalkaError as error:
        log.warning("lease.not_released", name="events", error=str(error))


class Stream(Protocol):
    """The stream of events, and how far it has been taken in."""

    async def begin(self) -> None:
        """Read on behind what has been taken in."""
        ...

    async def next(self) -> Sequence[tuple[int, Message]]:
        """Wait until something arrives, and return all of it with its positions."""
        ...

    async def settle(self, position: int) -> None:
        """Remember that everything up to a position has been taken in; losing this means repeats only."""
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


class Known(Protocol):
    """The triggers that there are."""

    async def catch_up(self) -> None:
        """Know every trigger that was recorded before this was called."""
        ...

    def names_for(self, kind: str) -> Sequence[str]:
        """Return the names of the triggers that are on a type of event."""
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


class Intake:
    """One turn at the stream of events."""

    def __init__(self, ports: Ports, stream: Stream, known: Known, lease: Lease) -> None:
        self._ports = ports
        self._stream = stream
        self._known = known
        self._lease = lease

    async def run(self) -> None:
        """Take events in until the lease is lost.

        Raises:
            PlatformError: the server did not answer, or refused.
        """
        losing = asyncio.create_task(self._lease.lost(), name="lease events")
        reading: asyncio.Task[Sequence[tuple[int, Message]]] | None = None
        try:
            await self._stream.begin()
            while not losing.done():
                reading = asyncio.create_task(self._next(), name="read events")
                await asyncio.wait((reading, losing), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    break
                arrived = reading.result()
                for start in range(0, len(arrived), BATCH):
                    await self._take_in(arrived[start : start + BATCH])
                if not arrived:
                    await asyncio.sleep(AGAIN_S)
        finally:
            tasks = [task for task in (reading, losing) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._stream.close()
            await self._known.close()

    async def _next(self) -> Sequence[tuple[int, Message]]:
        return await self._stream.next()

    async def _take_in(self, arrived: Sequence[tuple[int, Message]]) -> None:
        # What was recorded before an event was published is known before it is handed on.
        await self._known.catch_up()
        envelopes: list[tuple[str, bytes]] = []
        for position, message in arrived:
            envelopes += self._handed_on(position, message)
        if not self._lease.is_held():
            return
        if envelopes:
            await self._ports.post.send(envelopes)
        await self._stream.settle(arrived[-1][0])

    def _handed_on(self, position: int, message: Message) -> Iterable[tuple[str, bytes]]:
        """Return what goes to whom: the event to its triggers, or why it is none to where people look."""
        kind = self._ports.names.event_type(message.subject)
        try:
            event = read_event(kind, message.data, message.headers)
        except EventInvalidError as error:
            yield self._set_aside(position, message, error.code, str(error))
            return
        except Exception as error:  # whatever somebody publishes must not keep the rest from being taken in
            log.exception("event.crashed", subject=message.subject, position=position)
            yield self._set_aside(position, message, "bad_event", repr(error))
            return
        for name in self._known.names_for(kind):
            address = shard_of(name, self._ports.shards)
            subject = self._ports.names.requests(Recipient.TRIGGER.value, address)
            letter_id = f"event:{position}:{name}"
            body = sealed("events", TakeEvent(name, event, position), letter_id=letter_id)
            if len(body) > self._ports.payload_bytes:
                said = "It is over the server's limit of payload when it is handed on."
                yield self._set_aside(position, message, "event_too_large", said)
                return
            yield subject, body

    def _set_aside(self, position: int, message: Message, code: str, said: str) -> tuple[str, bytes]:
        """Tell that something is no event, and return what is kept of it, and where."""
        log.warning("event.refused", subject=message.subject, position=position, error=said)
        kept = {
            "position": position,
            "subject": message.subject,
            "error": {"code": code, "message": said},
            "headers": {_clean(name): _clean(value) for name, value in _first(message.headers or {})},
            "bytes": len(message.data),
            "begins": base64.b64encode(message.data[:EXCERPT_BYTES]).decode(),
        }
        return self._ports.names.dead_letter("events", "intake"), msgspec.json.encode(kept)


def _first(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return islice(headers.items(), HEADERS_KEPT)


def _clean(text: str) -> str:
    """Return text that can be stored: bounded, and without half characters."""
    return text[:HEADER_CHARS].encode("utf-8", "replace").decode()
