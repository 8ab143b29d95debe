"""The gateway of ``talka up``: a process of its own, which takes no time from the actors in this one."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec
from msgspec import Struct

from talka_protocols.errors import PlatformError
from talka_services.cli.command import Target
from talka_services.cli.serving import GatewayFlags
from talka_services.service.restarts import Restarts
from talka_services.telemetry import get_logger

if TYPE_CHECKING:
    import socket

STOP_S = 15.0
"""How long it gets to answer what is under way when it is told to stop."""

log = get_logger(__name__)


class GatewayEndedError(PlatformError):
    """The process of the gateway ended before it could be asked anything."""

    code = "gateway_ended"


class GatewayProcess:
    """Keeps a gateway running on a data directory for as long as the context lasts.

    The socket is ours, so that an address in use is known at once, and whoever asks
    while the process is started again waits instead of being refused.
    """

    def __init__(self, target: Target, flags: GatewayFlags) -> None:
        self._target = target
        self._flags = flags
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._said = ""

    async def __aenter__(self) -> Self:
        """Listen, and begin to start the process.

        Raises:
            AddressInUseError: we cannot listen there.
        """
        from talka_services.gateway.listening import bound
        from talka_services.gateway.server import PORT

        host, port = self._flags.host, self._flags.port
        self._socket = bound(host, PORT if port is None else port, any_port=port is None)
        self._keeping = asyncio.create_task(self._keep(self._socket), name="gateway")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process, by force if it does not do so in time."""
        assert self._socket is not None
        assert self._keeping is not None
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        if self._process is not None:
            await _stop(self._process)
        self._socket.close()

    async def address(self, stopped: asyncio.Future[None]) -> str:
        """Return where it answers, as soon as it does, or when told to stop.

        Raises:
            GatewayEndedError: it ended instead.
        """
        from talka_services.gateway.listening import address_of

        assert self._socket is not None
        assert self._keeping is not None
        ready = asyncio.create_task(self._is_ready.wait())
        await asyncio.wait((ready, self._keeping, stopped), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._keeping.done():
            self._keeping.result()
        return address_of(self._flags.host, self._socket)

    async def _keep(self, listening: socket.socket) -> None:
        """Run one process after the other; only the first one may give up.

        Raises:
            GatewayEndedError: it did.
        """
        clock, restarts = asyncio.get_running_loop().time, Restarts()
        while True:
            began_s = clock()
            try:
                why = f"exit code {await self._live(listening)}"
            except OSError as error:
                why = f"it cannot be started: {error}"
            if not self._is_ready.is_set():
                raise GatewayEndedError(
                    f"The gateway ended before it was ready: {why}. {self._said}".strip(),
                    hint="Its log is above; --no-http runs the platform without it.",
                )
            pause_s = restarts.pause_s(clock() - began_s)
            log.warning("gateway.ended", why=why, again_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _live(self, listening: socket.socket) -> int:
        """Run one process, and return its exit code when it has ended.

        Raises:
            OSError: it cannot be started.
        """
        self._process = process = await self._start(listening)
        assert process.stdout is not None
        said = await process.stdout.readline()
        if b'"ready"' in said:
            self._is_ready.set()
        else:
            self._said = _reason(said)
        return await process.wait()

    async def _start(self, listening: socket.socket) -> asyncio.subprocess.Process:
        arguments, environment = self._flags.told(self._target, listening.fileno())
        # Its standard input ends with this process, however that ends, and then it stops too.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "talka",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )


@asynccontextmanager
async def gateway_beside(
    target: Target, flags: GatewayFlags | None
) -> AsyncGenerator[Callable[[asyncio.Future[None]], Awaitable[str | None]]]:
    """Run a gateway beside this process, or none, and yield what waits until it answers and says where.

    Raises:
        AddressInUseError: it cannot listen there.
    """
    if flags is None:
        yield _nowhere
        return
    async with GatewayProcess(target, flags) as gateway:
        yield gateway.address


async def _nowhere(_stopped: asyncio.Future[None]) -> None:
    """Say that nothing is served."""


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        log.warning("gateway.killed", pid=process.pid, waited_s=STOP_S)
        process.kill()
        await process.wait()


class _Said(Struct):
    """What a command that fails prints with ``--json``."""

    error: dict[str, str | int | None]


def _reason(said: bytes) -> str:
    try:
        return str(msgspec.json.decode(said, type=_Said).error.get("message", ""))
    except msgspec.DecodeError:
        return "It did not say why."
