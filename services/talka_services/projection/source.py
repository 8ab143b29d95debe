"""The log as a log of notifications: every commit of every log, numbered by the stream's sequence."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from talka_protocols.commit import decode_commit
from talka_protocols.ports import StoredCommit
from talka_protocols.seals import place_of_subject
from talka_services.jetstream.api import NO_MESSAGE, RefusedError, call, refused
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.consumer import Place
from talka_services.jetstream.feed import Feed
from talka_services.jetstream.log import JetStreamLog, stored_commit
from talka_services.sealing.ports import SealedLog

PAGE = 2_000
"""How many commits are asked for at once while there are so many."""


class Source(Protocol):
    """Where notifications come from; a position is the number of one, from 1 and growing."""

    async def identity(self) -> str:
        """Return what no other log of notifications is called, also not a later one in its place."""
        ...

    async def end(self) -> int:
        """Return the position of the newest notification, 0 if there is none."""
        ...

    async def written_at(self, after: int) -> int:
        """Return when the first notification behind a position was written (milliseconds), 0 if none was."""
        ...

    def follow(self, after: int) -> AsyncGenerator[Sequence[StoredCommit]]:
        """Yield the notifications behind a position as they come, and go on with each new one."""
        ...


class JetStreamSource:
    """The stream ``log`` of a namespace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names = connection.names
        self._stream = connection.names.stream("log")
        self._subject = f"{connection.names.root}.log.>"
        self._sealing = SealedLog(JetStreamLog(connection), connection.vault, connection.names.namespace)

    async def identity(self) -> str:
        """Return the namespace and when its stream was made."""
        answer = await call(self._connection, f"STREAM.INFO.{self._stream}")
        return f"{self._names.namespace}@{answer.created}"

    async def end(self) -> int:
        """Return the sequence of the stream's newest message."""
        answer = await call(self._connection, f"STREAM.INFO.{self._stream}")
        return answer.state.last_seq

    async def written_at(self, after: int) -> int:
        """Return the time in the first commit behind a sequence.

        Raises:
            PlatformError: the server refused to tell.
        """
        request = {"seq": after + 1, "next_by_subj": self._subject}
        try:
            answer = await call(self._connection, f"STREAM.MSG.GET.{self._stream}", request)
        except RefusedError as error:
            if error.failure.err_code == NO_MESSAGE:
                return 0
            raise refused("reading a commit", error) from error
        message = answer.message
        if message is None:
            return 0
        name = self._names.log_name(message.subject)
        body = self._connection.vault.open_if_whole(
            place_of_subject(self._names, message.subject), message.data
        )
        return decode_commit(name, body).at

    async def follow(self, after: int) -> AsyncGenerator[Sequence[StoredCommit]]:
        """Yield what has come since, many at a time; goes on after every outage.

        Whoever is far behind is not sent what follows while a page is worked
        on, so that a long log does not have to fit into memory.
        """
        while True:
            feed = Feed(self._connection, self._stream, self._subject, after)
            try:
                is_behind = False
                while not is_behind:
                    arrived = await feed.next()
                    while 0 < len(arrived) < PAGE and _following(arrived):
                        arrived += await feed.next()
                    is_behind = _following(arrived) > 0
                    if is_behind:
                        await feed.close()
                    if arrived:
                        after = arrived[-1][0]
                        yield [self._commit(at, message) for at, message in arrived]
            finally:
                await feed.close()

    def _commit(self, at: int, message: Message) -> StoredCommit:
        return self._sealing.opened(stored_commit(self._names.log_name(message.subject), at, message))


def _following(arrived: Sequence[tuple[int, Message]]) -> int:
    """Return how many messages follow; the last one says it, since they may come before the feed is told."""
    return Place(arrived[-1][1].reply).pending if arrived else 0
