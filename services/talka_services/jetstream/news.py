"""The commits of all logs of one kind as they are made, from now on."""

from __future__ import annotations

from talka_protocols.ports import StoredCommit
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.consumer import stored_at
from talka_services.jetstream.feed import Feed

MESSAGE_ID = "Nats-Msg-Id"


class News:
    """Reads behind the position that the stream has when it begins."""

    def __init__(self, connection: Connection, kind: str) -> None:
        self._connection = connection
        self._stream = connection.names.stream("log")
        self._subject = connection.names.logs(kind)
        self._feed: Feed | None = None

    async def begin(self) -> int:
        """Begin behind the newest commit, and return its position."""
        position = await self.end()
        self._feed = Feed(self._connection, self._stream, self._subject, position)
        return position

    async def end(self) -> int:
        """Return the position of the newest commit as the stream's leader has it, 0 if there is none.

        Raises:
            ServerUnavailableError: there is no answer.
        """
        last = await last_message(self._connection, self._stream, self._subject)
        return last.seq if last is not None else 0

    async def next(self) -> list[StoredCommit]:
        """Wait until something arrives, and return all of it in the order of the stream."""
        assert self._feed is not None, "begin first"
        names = self._connection.names
        return [
            StoredCommit(
                names.log_name(message.subject),
                position,
                self._connection.vault.read(names, message.subject, message.data),
                (message.headers or {}).get(MESSAGE_ID, ""),
                stored_at(message.reply),
            )
            for position, message in await self._feed.next()
        ]

    async def close(self) -> None:
        """Stop reading."""
        if self._feed is not None:
            await self._feed.close()
