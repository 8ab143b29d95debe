"""One connection to NATS: it reconnects for ever and hands every answer back to who asked.

Requests carry a reply address of our own instead of nats-py's, for two
reasons: whoever waits learns of a lost connection at once instead of by a
time-out, and a whole batch of publishes can share one future.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import count
from typing import Any, Protocol, cast

from nats.aio.client import Client
from nats.errors import (
    AuthorizationError,
    ConnectionClosedError,
    ConnectionDrainingError,
    NoServersError,
    OutboundBufferLimitError,
)
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from talka_protocols.errors import ServerUnavailableError
from talka_protocols.messages.speakers import Role
from talka_protocols.subjects import Names
from talka_services.jetstream.access import Access
from talka_services.jetstream.refusals import unreached, without_secrets
from talka_services.sealing.vault import Vault, vault_of_environment
from talka_services.telemetry import get_logger

RECONNECT_WAIT_S = 0.1
CONNECT_TIMEOUT_S = 2.0
FIRST_CONNECT_S = 3.0
CLOSE_S = 2.0
CANCEL_AGAIN_S = 0.05
REQUEST_TIMEOUT_S = 5.0
PENDING_BYTES = 64 * 1024 * 1024
HEADER_ALLOWANCE = 4096
PING_INTERVAL_S = 20

NO_RESPONDERS = "503"
FORBIDDEN = "403"
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)

log = get_logger(__name__)


class Message(Protocol):
    """What a message from the server looks like."""

    subject: str
    reply: str
    data: bytes
    headers: dict[str, str] | None


class Subscription(Protocol):
    """Interest in a subject, until it is withdrawn."""

    async def unsubscribe(self, limit: int = 0) -> None:
        """Withdraw it; what has not been handled yet is dropped."""
        ...


class Wire(Protocol):
    """The part of nats-py's client that is used here, with complete types."""

    @property
    def is_closed(self) -> bool:
        """Tell whether it was closed, never to connect again."""
        ...

    @property
    def max_payload(self) -> int:
        """Return the server's limit for headers and body together, in bytes."""
        ...

    def new_inbox(self) -> str:
        """Return a subject that nobody else uses."""
        ...

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Queue a message for sending; while disconnected it is buffered."""
        ...

    async def subscribe(
        self,
        subject: str,
        *,
        cb: Callable[[Message], Awaitable[None]],
        pending_msgs_limit: int = ...,
        pending_bytes_limit: int = ...,
    ) -> Subscription:
        """Have ``cb`` awaited for each message, one after the other."""
        ...

    async def close(self) -> None:
        """Disconnect for good."""
        ...


class _Forbidden:
    """What stands in for an answer when the server does not let us ask."""

    subject = reply = ""
    data = b'{"error":{"code":403,"err_code":0,"description":"this user may not publish there"}}'
    headers: dict[str, str] | None = {"Status": FORBIDDEN}  # noqa: RUF012  (as the protocol has it)


class NoAnswerError(Exception):
    """No answer in time, or the connection broke; the request may or may not have been obeyed."""


class NobodyThereError(Exception):
    """Nobody listens at the subject, so the request was obeyed by no one."""


Arrival = Callable[[int, Message | None], None]
"""Takes the index of a request and its answer; None when the connection broke first."""


class Connection:
    """A connection, its JetStream context and the names of one namespace.

    ``address`` is fit for messages; ``servers`` may carry secrets, and ``access`` says where others lie.
    ``speaker`` is who writes letters here. ``forbidden`` are subjects that the server did not let us use.
    ``vault`` has the keys of what is stored there.
    """

    speaker = Role.CLIENT.value

    def __init__(self, names: Names, address: str, vault: Vault | None = None) -> None:
        self.names = names
        self.vault = vault or Vault()
        self.address = address
        self.servers: tuple[str, ...] = ()
        self.nc = Client()
        self.wire = cast("Wire", self.nc)
        self.js = JetStreamContext(self.nc, timeout=REQUEST_TIMEOUT_S)
        self.is_up = asyncio.Event()
        self.renew_inbox_stream: Callable[[], Awaitable[None]] | None = None
        self._reconnected: list[Callable[[], None]] = []
        self.access = Access()
        self.forbidden: set[str] = set()
        self._waiting: dict[str, tuple[Arrival, int, str]] = {}
        self._tokens = count()
        self._prefix = ""

    async def start(
        self, servers: Sequence[str], name: str, access: Access, options: Mapping[str, Any]
    ) -> None:
        """Connect for the first time; `connect` is what callers use."""
        self.access = access
        wanted: dict[str, Any] = {
            "name": name,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "reconnect_time_wait": RECONNECT_WAIT_S,
            "max_reconnect_attempts": -1,
            "ping_interval": PING_INTERVAL_S,
            "pending_size": PENDING_BYTES,
            **access.options(),
            **options,
        }
        self.servers = tuple(servers)
        await _within(FIRST_CONNECT_S, cast("Any", self.nc).connect(list(servers), **wanted))
        if access.is_tls and not vars(self.nc)["_server_info"].get("tls_required"):
            raise ssl.SSLError("the server does not speak TLS")
        self._prefix = self.wire.new_inbox()
        await self.wire.subscribe(f"{self._prefix}.*", cb=self._on_answer)
        self.is_up.set()

    @property
    def max_bytes(self) -> int:
        """Return how large a body may be, headers allowed for."""
        return self.wire.max_payload - HEADER_ALLOWANCE

    @property
    def is_clustered(self) -> bool:
        """Tell whether the server is one of several that store together."""
        return bool(vars(self.nc)["_server_info"].get("cluster"))

    def on_reconnected(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener after every reconnect; the returned function stops that."""
        self._reconnected.append(listener)

        def stop() -> None:
            if listener in self._reconnected:
                self._reconnected.remove(listener)

        return stop

    async def publish(
        self, subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish without waiting for anyone."""
        await self._send(subject, body, "", headers)

    async def ask(self, subject: str, body: bytes, arrival: Arrival, index: int = 0, **headers: str) -> str:
        """Publish with a reply address; ``arrival`` gets the answer. Return the token to `forget`."""
        token = str(next(self._tokens))
        self._waiting[token] = (arrival, index, subject)
        try:
            await self._send(subject, body, f"{self._prefix}.{token}", headers or None)
        except BaseException:
            del self._waiting[token]
            raise
        return token

    def forget(self, token: str) -> None:
        """Give up waiting for an answer."""
        self._waiting.pop(token, None)

    async def request(
        self,
        subject: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        wait_s: float = REQUEST_TIMEOUT_S,
    ) -> Message:
        """Publish and return the answer.

        Raises:
            NoAnswerError: nothing came within ``wait_s``, or the connection broke meanwhile.
            NobodyThereError: nobody listens there.
        """
        message = await self._answer(subject, body, headers, wait_s)
        if is_nobody_there(message):
            raise NobodyThereError(f"nobody listens at {subject}")
        return message

    async def settle(self, wait_s: float = REQUEST_TIMEOUT_S) -> None:
        """Return when the server has everything that was published before.

        Raises:
            NoAnswerError: it has not said so within ``wait_s``, or the connection broke meanwhile.
        """
        # It handles what one connection sends in order, so it has the rest when this comes back to us.
        await self._answer(None, b"", None, wait_s)

    async def _answer(
        self, subject: str | None, body: bytes, headers: Mapping[str, str] | None, wait_s: float
    ) -> Message:
        """Publish, to ourselves if no subject is given, and return what comes back."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Message | None] = loop.create_future()

        def arrived(_index: int, message: Message | None) -> None:
            if not answer.done():
                answer.set_result(message)

        token = str(next(self._tokens))
        ours = f"{self._prefix}.{token}"
        self._waiting[token] = (arrived, 0, subject or ours)
        timer = loop.call_later(wait_s, arrived, 0, None)
        try:
            await self._send(subject or ours, body, ours if subject else "", headers)
            message = await answer
        finally:
            timer.cancel()
            self._waiting.pop(token, None)
        if message is None:
            raise NoAnswerError(f"no answer from {subject or 'the server'}")
        return message

    async def close(self) -> None:
        """Close the connection; whoever waits for an answer gets `NoAnswerError`."""
        self._reconnected.clear()
        if not self.is_up.is_set():
            # The client would try to send what it has buffered, and fail before it has cleaned up.
            vars(self.nc).update(_pending=[], _pending_data_size=0)
        try:
            await _within(CLOSE_S, self.wire.close())
        except (TimeoutError, OSError) as error:
            log.debug("nats.closed_without_server", address=self.address, error=str(error))
        self._drop_waiting()

    async def _send(self, subject: str, body: bytes, reply: str, headers: Mapping[str, str] | None) -> None:
        try:
            await self.wire.publish(subject, body, reply, headers)
        except (ConnectionClosedError, ConnectionDrainingError) as error:
            raise ServerUnavailableError(
                f"The connection to {self.address} has been closed.", hint="Connect again."
            ) from error
        except OutboundBufferLimitError as error:
            raise NoAnswerError("the buffer for publishing while disconnected is full") from error

    async def _on_answer(self, message: Message) -> None:
        waiting = self._waiting.pop(message.subject[len(self._prefix) + 1 :], None)
        if waiting is not None:
            arrival, index, _ = waiting
            arrival(index, message)

    def _drop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for arrival, index, _ in waiting.values():
            arrival(index, None)

    async def _on_disconnected(self) -> None:
        self.is_up.clear()
        self._drop_waiting()
        if not self.wire.is_closed:
            log.warning("nats.disconnected", address=self.address)

    async def _on_reconnected(self) -> None:
        self.is_up.set()
        log.info("nats.reconnected", address=self.address)
        for listener in list(self._reconnected):
            listener()

    async def _on_error(self, error: Exception) -> None:
        found = _VIOLATION.search(str(error))
        if found is None:
            log.debug("nats.error", address=self.address, error=f"{type(error).__name__}: {error}")
            return
        doing, subject = found.groups()
        if subject not in self.forbidden:
            log.warning("nats.forbidden", address=self.address, doing=doing, subject=subject)
            self.forbidden.add(subject)
        if doing == "publish":
            self._tell_forbidden(subject)

    def _tell_forbidden(self, subject: str) -> None:
        """Answer at once whoever waits for an answer from a subject; nats-py writes it in lower case."""
        for token, (arrival, index, asked) in list(self._waiting.items()):
            if asked.lower() == subject:
                del self._waiting[token]
                arrival(index, _Forbidden())


def is_forbidden(message: Message) -> bool:
    """Tell whether this stands in for an answer that we may not ask for."""
    return message.headers is not None and message.headers.get("Status") == FORBIDDEN


def is_nobody_there(message: Message) -> bool:
    """Tell whether this is the server's own answer that nobody listens."""
    return message.headers is not None and message.headers.get("Status") == NO_RESPONDERS


async def _within(seconds: float, doing: Coroutine[Any, Any, None]) -> None:
    """Await what nats-py does, and end it when the time is over.

    Where a server refuses us while TLS begins, nats-py may wait for ever for the connection to close; and it
    goes on trying if it is cancelled in the moment in which something else ends.

    Raises:
        TimeoutError: the time is over.
    """
    task = asyncio.ensure_future(doing)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        while task.cancel():
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
    if not done:
        raise TimeoutError
    await task


async def connect(
    servers: str | Sequence[str],
    name: str,
    names: Names | None = None,
    access: Access | None = None,
    *,
    vault: Vault | None = None,
    **options: Any,
) -> Connection:
    """Connect to NATS and keep reconnecting for as long as the connection is not closed.

    ``servers`` are URLs, in one text separated by commas; they may carry a user and password or a token
    (``nats://user:password@host:4222``, ``tls://host``); ``options`` go to nats-py as they are. ``vault``
    has the keys of what is stored, by default those of the file that ``TALKA_KEYS`` names.

    Raises:
        ServerUnavailableError: no server answered within three seconds, or it refused us, or we it.
        AccessError: a key, a credentials file or a certificate cannot be used.
        KeyFileError: the file of keys cannot be read.
    """
    addresses = servers.split(",") if isinstance(servers, str) else list(servers)
    shown = ", ".join(without_secrets(address) for address in addresses)
    connection = Connection(names or Names(), shown, vault_of_environment() if vault is None else vault)
    try:
        await connection.start(addresses, name, access or Access(), options)
    except (TimeoutError, OSError, NatsError, NoServersError, AuthorizationError) as error:
        cause = connection.nc.last_error or error
        await connection.close()
        raise unreached(shown, cause) from error
    return connection
