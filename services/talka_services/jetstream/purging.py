"""Removes beginnings of logs, and whole logs and snapshots; doing it again is harmless."""

from __future__ import annotations

from talka_protocols.subjects import LogName
from talka_services.jetstream.api import RefusedError, call, refused, subjects
from talka_services.jetstream.connection import Connection


class Purge:
    """What may be removed from the streams of a namespace, and what there is of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names = connection.names

    async def log_before(self, log: LogName, position: int) -> None:
        """Remove the commits of a log before a position.

        Raises:
            PlatformError: the server refused.
        """
        await self._purge("log", self._names.log(log), position)

    async def log(self, log: LogName) -> None:
        """Remove a whole log.

        Raises:
            PlatformError: the server refused.
        """
        await self._purge("log", self._names.log(log))

    async def snapshots(self, log: LogName) -> None:
        """Remove all snapshots of a log.

        Raises:
            PlatformError: the server refused.
        """
        await self._purge("snapshot", self._names.snapshot(log))

    async def with_snapshots(self, kind: str) -> set[str]:
        """Return the keys of the logs of a kind that have snapshots."""
        pattern = f"{self._names.root}.snapshot.{kind}.*.>"
        found = await subjects(self._connection, self._names.stream("snapshot"), pattern)
        return {subject.rpartition(".")[2] for subject in found}

    async def _purge(self, what: str, subject: str, before: int = 0) -> None:
        request: dict[str, str | int] = {"filter": subject}
        if before:
            request["seq"] = before
        try:
            await call(self._connection, f"STREAM.PURGE.{self._names.stream(what)}", request)
        except RefusedError as error:
            raise refused(f"removing what is archived from {subject}", error) from error
