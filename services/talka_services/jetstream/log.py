"""The `Log` port over one JetStream stream: a subject is a log, a message is a commit.

A position is the stream's sequence. The server refuses an append whose
`Nats-Expected-Last-Subject-Sequence` is not the log's last position, which
is the whole of the optimistic concurrency.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence

from talka_protocols.errors import CallerError, ConflictError
from talka_protocols.ports import Heap, StoredCommit
from talka_protocols.seals import is_sealed
from talka_protocols.subjects import LogName
from talka_services.jetstream.api import (
    EXPECTED_LAST,
    WRONG_LAST_SEQUENCE,
    Failure,
    RefusedError,
    publish_until_answered,
    refused,
    stored_message,
    subjects,
)
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.consumer import Place
from talka_services.jetstream.feed import Feed
from talka_services.telemetry import get_logger

MESSAGE_ID = "Nats-Msg-Id"
SEALED_TYPE = "application/vnd.talka.sealed"

log_ = get_logger(__name__)


class JetStreamLog:
    """Logs in the stream ``log`` of a namespace, which `ensure_topology` made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names = connection.names
        self._stream = connection.names.stream("log")
        self._headers = {
            "ce-specversion": "1.0",
            "ce-source": f"/talka/{connection.names.namespace}",
            "ce-type": "talka.commit",
        }

    @property
    def max_bytes(self) -> int:
        """Return how large the body of one commit may be."""
        return self._connection.max_bytes

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append one commit and return its position; see `talka_protocols.ports.Log`.

        Raises:
            ConflictError: the log's last position is not ``after``.
            CallerError: the body is larger than `max_bytes`.
            ServerUnavailableError: the server answers, but its stream has been away for half a minute.
        """
        if len(body) > self.max_bytes:
            raise CallerError(
                f"A commit of {len(body)} bytes to {log} is over the limit of {self.max_bytes} bytes.",
                hint="Split the decision, or raise max_payload on the server.",
            )
        headers = {
            EXPECTED_LAST: str(after),
            MESSAGE_ID: commit_id,
            "ce-id": commit_id,
            "ce-subject": str(log),
            "content-type": SEALED_TYPE if is_sealed(body) else "application/json",
            **self._headers,
        }
        answer = await publish_until_answered(self._connection, self._names.log(log), body, headers)
        if answer.error is not None:
            return await self._resolve(log, after, commit_id, answer.error)
        if answer.duplicate:
            return await self._own_position(log, after, commit_id)
        return answer.seq

    async def _resolve(self, log: LogName, after: int, commit_id: str, failure: Failure) -> int:
        if failure.err_code in WRONG_LAST_SEQUENCE:
            return await self._own_position(log, after, commit_id)
        raise refused(f"a commit to log {log}", RefusedError(failure))

    async def _own_position(self, log: LogName, after: int, commit_id: str) -> int:
        """Return the position of the log's last commit if it is ours, whose answer was lost."""
        last = await stored_message(self._connection, self._stream, self._names.log(log))
        if last is not None and last.seq > after and last.headers().get(MESSAGE_ID) == commit_id:
            log_.info("log.lost_answer_recognised", log=str(log), position=last.seq)
            return last.seq
        raise ConflictError(
            f"Log {log} ends at {last.seq if last else 0}, not at {after}: another owner wrote to it.",
            hint="This owner steps down; nothing needs to be done.",
        )

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind ``after`` up to the last one that the leader has now."""
        while True:
            commits, end = await self._read(log, after)
            if not end or (commits and commits[-1].position >= end):
                return commits
            # The execution was archived meanwhile: what was to come has left the log.

    async def _read(self, log: LogName, after: int) -> tuple[list[StoredCommit], int]:
        """Return commits, and the position of the one that was the last when they were read; 0 for none."""
        subject = self._names.log(log)
        last = await stored_message(self._connection, self._stream, subject)
        if last is None or last.seq <= after:
            return [], 0
        commits: list[StoredCommit] = []
        feed = Feed(self._connection, self._stream, subject, after)
        try:
            while feed.position < last.seq:
                arrived = await feed.next()
                commits.extend(
                    stored_commit(log, position, message)
                    for position, message in arrived
                    if position <= last.seq
                )
                if not arrived and feed.pending == 0:
                    # A pruned tail, or a replica that lags behind the leader: ask the leader again.
                    last = await stored_message(self._connection, self._stream, subject)
                    if last is None:
                        return [], 0
        finally:
            await feed.close()
        return commits, last.seq

    async def names(self, kind: str, shard: str | None = None) -> Sequence[LogName]:
        """Return the names of the logs of one kind that hold at least one commit, sorted."""
        found = await subjects(self._connection, self._stream, self._names.logs(kind, shard))
        return [self._names.log_name(subject) for subject in sorted(found)]

    async def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield the commits behind ``after``, then each new one; goes on after every outage."""
        feed = Feed(self._connection, self._stream, self._names.log(log), after)
        try:
            while True:
                for position, message in await feed.next():
                    yield stored_commit(log, position, message)
        finally:
            await feed.close()

    async def read_all(self, kinds: Collection[str]) -> AsyncGenerator[Heap]:
        """Yield the commits of all logs of these kinds by position, up to the end that there is now."""
        feed = Feed(self._connection, self._stream, f"{self._names.root}.log.>", 0)
        try:
            while True:
                arrived = await feed.next()
                named = [(self._names.log_name(message.subject), at, message) for at, message in arrived]
                commits = tuple(
                    stored_commit(log, at, message) for log, at, message in named if log.kind in kinds
                )
                # They may come before the answer that counts them, so only the last one says what follows.
                following = Place(arrived[-1][1].reply).pending if arrived else 0
                yield Heap(commits, following)
                if following == 0:
                    return
        finally:
            await feed.close()


def stored_commit(log: LogName, position: int, message: Message) -> StoredCommit:
    """Return a message of the stream as the commit that it is."""
    return StoredCommit(log, position, message.data, (message.headers or {}).get(MESSAGE_ID, ""))
