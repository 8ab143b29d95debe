"""Whether a process can do its work: it has begun to, and its server answers."""

from __future__ import annotations

from collections.abc import Callable

from talka_protocols.errors import PlatformError
from talka_services.jetstream.api import RefusedError, call, refused
from talka_services.jetstream.connection import Connection

ANSWER_S = 2.0


class NotReadyError(PlatformError):
    """The process lives and does not do its work."""

    code = "not_ready"


class Readiness:
    """Never ready before `begin`; ``address`` is where it is asked for, if anywhere."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self._connection: Connection | None = None
        self._is_fit: Callable[[], bool] = bool

    def begin(self, connection: Connection, is_fit: Callable[[], bool] = lambda: True) -> None:
        """Be ready while the server behind the connection answers and ``is_fit`` says so."""
        self._connection, self._is_fit = connection, is_fit

    async def check(self) -> str:
        """Return the namespace that is served.

        Raises:
            NotReadyError: it has not begun, or cannot do its work.
            PlatformError: the server does not answer, or refuses.
        """
        if self._connection is None or not self._is_fit():
            raise NotReadyError(
                "The service lives, and does not do its work yet.",
                hint="It waits for its NATS server; a worker also until its pool has recorded it.",
            )
        stream = self._connection.names.stream("log")
        try:
            await call(self._connection, f"STREAM.INFO.{stream}", wait_s=ANSWER_S)
        except RefusedError as error:
            raise refused(f"looking at the stream {stream}", error) from error
        return self._connection.names.namespace
