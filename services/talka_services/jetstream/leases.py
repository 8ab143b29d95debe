"""The `Leases` port over a KV bucket whose keys expire.

The key holds who owns the name; it is written with an expected revision and
a time to live, and written again every third of that time. The revision of
the first write is the epoch. A second key without a time to live is written
once per owner: it keeps the stream from ever becoming empty, so revisions
grow across every restart of the server.
"""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import msgspec

from talka_protocols.errors import PlatformError, ServerUnavailableError
from talka_services.jetstream.api import (
    EXPECTED_LAST,
    UNAVAILABLE,
    WRONG_LAST_SEQUENCE,
    RefusedError,
    Stored,
    last_message,
    pause,
    read_answer,
    refused,
    stored_message,
)
from talka_services.jetstream.connection import Connection, NoAnswerError, NobodyThereError
from talka_services.jetstream.feed import Feed
from talka_services.telemetry import get_logger

TTL_S = 2.0
MARGIN = 0.2
KV_OPERATION = "KV-Operation"
MARKER = "Nats-Marker-Reason"

log = get_logger(__name__)


class _Taken(msgspec.Struct, frozen=True):
    """The value of a lease's key: who holds it, for people, and which attempt wrote it."""

    holder: str
    token: str


class JetStreamLease:
    """A lease that renews itself until it is released or lost."""

    def __init__(self, leases: JetStreamLeases, name: str, value: bytes, epoch: int, deadline: float) -> None:
        self._leases = leases
        self._name = name
        self._value = value
        self._epoch = epoch
        self._revision = epoch
        self._deadline = deadline
        self._lost = asyncio.Event()
        self._renewal = asyncio.create_task(self._renew(), name=f"lease {name}")

    @property
    def epoch(self) -> int:
        """Return the revision with which the name was taken; larger for every later owner."""
        return self._epoch

    def is_held(self) -> bool:
        """Tell by our own monotonic clock, with a margin of a fifth, whether the name is still ours."""
        return not self._lost.is_set() and time.monotonic() < self._deadline

    async def lost(self) -> None:
        """Return when the lease is lost for good; also after `release`."""
        await self._lost.wait()

    async def release(self) -> None:
        """Give the name up at once. If the server is away it expires by itself."""
        was_held = self.is_held()
        await self._stop()
        if was_held:
            await self._leases.give_up(self._name, self._revision)

    async def _stop(self) -> None:
        self._lost.set()
        self._renewal.cancel()
        await asyncio.wait([self._renewal])

    async def _renew(self) -> None:
        try:
            await self._renew_until_lost()
        except PlatformError as error:
            log.warning("lease.not_renewed", name=self._name, error=str(error))
        finally:
            self._lost.set()

    async def _renew_until_lost(self) -> None:
        interval_s = self._leases.ttl_s / 3
        pause_s = interval_s
        while True:
            await asyncio.sleep(min(pause_s, max(0.0, self._deadline - time.monotonic())))
            if time.monotonic() >= self._deadline:
                break
            started = time.monotonic()
            revision = await self._leases.write(
                self._name, self._value, self._revision, min(interval_s, self._deadline - started)
            )
            if revision == 0:
                break
            if revision is None:
                pause_s = interval_s / 10
                continue
            self._revision = revision
            self._deadline = self._leases.deadline(started)
            pause_s = max(0.0, started + interval_s - time.monotonic())
        log.warning("lease.lost", name=self._name, epoch=self._epoch)


class JetStreamLeases:
    """Leases in the bucket ``leases`` of a namespace."""

    def __init__(self, connection: Connection, ttl_s: float = TTL_S) -> None:
        self.ttl_s = max(1.0, ttl_s)
        self._connection = connection
        self._stream = connection.names.kv_stream("leases")

    async def acquire(self, name: str, holder: str) -> JetStreamLease:
        """Wait until the name is free, take it, and keep it renewed."""
        value = msgspec.json.encode(_Taken(holder, uuid4().hex))
        while True:
            current = await last_message(self._connection, self._stream, self._subject(name))
            if current is not None and not _is_free(current):
                await self._wait_for_change(name, current.seq)
                continue
            started = time.monotonic()
            revision = await self.write(name, value, current.seq if current else 0, self.ttl_s)
            if not revision:
                await pause(self._connection, self.ttl_s)
                continue
            await self._pin(name, revision)
            deadline = self.deadline(started)
            if time.monotonic() < deadline:
                return JetStreamLease(self, name, value, revision, deadline)

    def deadline(self, started: float) -> float:
        """Return until when a lease written at ``started`` counts as held."""
        return started + self.ttl_s * (1 - MARGIN)

    async def write(self, name: str, value: bytes, last: int, wait_s: float) -> int | None:
        """Write the lease's key behind revision ``last``.

        Returns:
            The revision; 0 if somebody else wrote first; None if there was no answer.
        """
        headers = {EXPECTED_LAST: str(last), "Nats-TTL": f"{round(self.ttl_s * 1000)}ms"}
        try:
            message = await self._connection.request(self._subject(name), value, headers, max(0.05, wait_s))
        except (NoAnswerError, NobodyThereError):
            return None
        answer = read_answer(message)
        if answer.error is None:
            return answer.seq
        if answer.error.err_code in WRONG_LAST_SEQUENCE:
            return await self._own_revision(name, value)
        if answer.error.code == UNAVAILABLE:
            return None
        raise refused(f"the lease {name}", RefusedError(answer.error))

    async def give_up(self, name: str, revision: int) -> None:
        """Mark the name free, if it still has this revision."""
        headers = {EXPECTED_LAST: str(revision), KV_OPERATION: "DEL"}
        try:
            await self._connection.request(self._subject(name), b"", headers, self.ttl_s)
        except (NoAnswerError, NobodyThereError, ServerUnavailableError) as error:
            log.info("lease.expires_by_itself", name=name, reason=str(error))

    async def _own_revision(self, name: str, value: bytes) -> int | None:
        """Return the key's revision if the value there is ours, whose acknowledgement was lost."""
        try:
            current = await stored_message(self._connection, self._stream, self._subject(name), 0.0)
        except ServerUnavailableError:
            return None
        return current.seq if current is not None and current.data == value else 0

    async def _pin(self, name: str, revision: int) -> None:
        subject = self._connection.names.epoch(name)
        try:
            message = await self._connection.request(subject, str(revision).encode(), None, self.ttl_s)
        except (NoAnswerError, NobodyThereError) as error:
            log.info("lease.epoch_not_pinned", name=name, reason=str(error))
            return
        failure = read_answer(message).error
        if failure is not None:
            raise refused(f"the epoch of lease {name}", RefusedError(failure))

    async def _wait_for_change(self, name: str, revision: int) -> None:
        """Return when the key was written again or has expired, or after its time to live."""
        feed = Feed(self._connection, self._stream, self._subject(name), revision)
        try:
            async with asyncio.timeout(self.ttl_s):
                while True:
                    for position, message in await feed.next():
                        headers = message.headers or {}
                        if _is_free(Stored(message.subject, position), headers):
                            return
        except TimeoutError:
            return
        finally:
            await feed.close()

    def _subject(self, name: str) -> str:
        return self._connection.names.lease(name)


def _is_free(current: Stored, headers: dict[str, str] | None = None) -> bool:
    """Tell whether the newest message of a key says that nobody owns it (released, expired)."""
    present = current.headers() if headers is None else headers
    return KV_OPERATION in present or MARKER in present
