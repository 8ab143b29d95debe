"""The `Alarms` port: message schedules of the server, which ring in the stream of requests.

The server puts a scheduled message into the same stream when its time has come,
and only consumers see it there; the inbox of requests is one. Setting an alarm
replaces the one that was set before on the same subject.
"""

from __future__ import annotations

from datetime import UTC, datetime

from talka_services.jetstream.api import RefusedError, call, publish_until_answered, refused
from talka_services.jetstream.connection import Connection

SCHEDULE = "Nats-Schedule"
TARGET = "Nats-Schedule-Target"
ROLLUP = "Nats-Rollup"


class JetStreamAlarms:
    """Alarms as messages that the server publishes later."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def set(self, kind: str, address: str, key: str, due_at: int, body: bytes) -> None:
        """Have an envelope put into an inbox at ``due_at``, in place of the key's last alarm.

        Raises:
            ServerUnavailableError: the server has been away for half a minute.
            PlatformError: the server refused it.
        """
        names = self._connection.names
        headers = {
            SCHEDULE: f"@at {datetime.fromtimestamp(-(-due_at // 1000), UTC):%Y-%m-%dT%H:%M:%SZ}",
            TARGET: names.requests(kind, address),
            ROLLUP: "sub",
        }
        subject = names.alarm(kind, key)
        answer = await publish_until_answered(self._connection, subject, body, headers)
        if answer.error is not None:
            raise refused(f"an alarm on {subject}", RefusedError(answer.error))

    async def clear(self, kind: str, key: str) -> None:
        """Purge the key's subject, and with it the schedule of the server; one that is not there is no error.

        Raises:
            ServerUnavailableError: the server does not answer.
            PlatformError: the server refused it.
        """
        names = self._connection.names
        subject, stream = names.alarm(kind, key), names.stream("request")
        try:
            await call(self._connection, f"STREAM.PURGE.{stream}", {"filter": subject})
        except RefusedError as error:
            raise refused(f"clearing the alarm on {subject}", error) from error
