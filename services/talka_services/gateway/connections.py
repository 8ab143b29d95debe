"""Connections that bring no request: how long they may be open, and how many of all kinds there may be.

Whoever asks for nothing needs no token. Without bounds a few hundred silent connections take all
the files that this process may have open, and the connection to the NATS server is one of them.
"""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from talka_services.telemetry import get_logger

HEAD_S = 10.0
CONNECTIONS_MAX = 10_000
TOLD_AGAIN_S = 60.0

log = get_logger(__name__)


class Doorkeeper:
    """Lets ``most`` connections in at once, each for ``head_s`` seconds without a whole request's head."""

    def __init__(self, most: int | None = None, head_s: float = HEAD_S) -> None:
        self.most = _most() if most is None else most
        self.head_s = head_s
        self._told_s = float("-inf")

    def admits(self, count: int) -> bool:
        """Tell whether there may be so many connections, and tell people now and then if not."""
        if count <= self.most:
            return True
        if time.monotonic() - self._told_s > TOLD_AGAIN_S:
            self._told_s = time.monotonic()
            log.warning("gateway.connections", most=self.most)
        return False


class Connection(H11Protocol):
    """A connection that ends where no request comes."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._doorkeeper = doorkeeper
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if self._doorkeeper.admits(len(self.connections)):
            self._wait()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came, and wait for the rest of a request that has only begun."""
        super().data_received(data)
        if self._is_asked:
            self._cease()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._cease()
        super().connection_lost(exc)

    @property
    def _is_asked(self) -> bool:
        """Tell whether a request is under way: its head is here, and its answer is not over."""
        return bool(self.cycle) and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self._doorkeeper.head_s, self._end)

    def _cease(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self) -> None:
        if not self._is_asked:
            self.transport.abort()


def _most() -> int:
    """Return half of the files that this process may have open, if that is less than enough."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return CONNECTIONS_MAX if files == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, files // 2)
