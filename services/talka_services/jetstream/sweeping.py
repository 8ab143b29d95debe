"""Removes from the inboxes of workers what they have settled, which they may not do themselves.

How far a worker has got, its consumer says: the server keeps that for a while
also when the worker has gone.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from talka_protocols.messages.speakers import Role
from talka_services.jetstream.api import Floor, RefusedError, call, refused
from talka_services.jetstream.connection import Connection


class _Config(Struct, frozen=True):
    filter_subject: str = ""


class _Consumer(Struct, frozen=True):
    config: _Config = _Config()
    ack_floor: Floor = Floor()


class Sweeper:
    """Sweeps the inboxes of all workers of a namespace, each again only when more of it is settled."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stream = connection.names.stream("inbox")
        self._workers = connection.names.inbox(Role.WORKER.value, "")
        self._swept: dict[str, int] = {}

    async def sweep(self) -> int:
        """Remove what is settled now, and return from how many inboxes.

        Raises:
            ServerUnavailableError: there is no answer.
            PlatformError: the server refused it.
        """
        try:
            settled = await self._settled()
            due = {
                subject: position
                for subject, position in settled.items()
                if position > self._swept.get(subject, 0)
            }
            for subject, position in due.items():
                request = {"filter": subject, "seq": position + 1}
                await call(self._connection, f"STREAM.PURGE.{self._stream}", request)
        except RefusedError as error:
            raise refused("sweeping the inboxes of workers", error) from error
        self._swept = settled
        return len(due)

    async def _settled(self) -> dict[str, int]:
        """Return up to where each worker has settled its inbox, by the subject of the inbox."""
        settled: dict[str, int] = {}
        seen = 0
        while True:
            answer = await call(self._connection, f"CONSUMER.LIST.{self._stream}", {"offset": seen})
            page: list[Any] = answer.consumers if isinstance(answer.consumers, list) else []
            seen += len(page)
            for consumer in msgspec.convert(page, list[_Consumer], strict=False):
                subject = consumer.config.filter_subject
                if subject.startswith(self._workers):
                    settled[subject] = max(settled.get(subject, 0), consumer.ack_floor.stream_seq)
            if not page or seen >= answer.total:
                return settled
