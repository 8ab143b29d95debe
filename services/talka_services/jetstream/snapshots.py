"""The `Snapshots` port over a stream that keeps the two newest messages of each log."""

from __future__ import annotations

from talka_protocols.ports import Snapshot
from talka_protocols.subjects import LogName
from talka_protocols.workflow import ClaimCheck
from talka_services.jetstream.api import (
    EXPECTED_LAST,
    WRONG_LAST_SEQUENCE,
    RefusedError,
    Stored,
    last_message,
    publish_until_answered,
    refused,
)
from talka_services.jetstream.blobs import JetStreamBlobs
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.objects import CLAIM

POSITION = "Talka-Position"
VERSION = "Talka-Version"
AT = "Talka-At"
BYTES = "Talka-Bytes"


class JetStreamSnapshots:
    """Snapshots in the stream ``snapshot``; one over the payload limit goes to the object store."""

    def __init__(self, connection: Connection, blobs: JetStreamBlobs | None = None) -> None:
        self._connection = connection
        self._stream = connection.names.stream("snapshot")
        self._blobs = blobs or JetStreamBlobs(connection)

    async def save(self, log: LogName, snapshot: Snapshot) -> None:
        """Keep the snapshot unless a newer one is already there."""
        subject = self._connection.names.snapshot(log)
        headers = {POSITION: str(snapshot.position), VERSION: str(snapshot.version), AT: str(snapshot.at)}
        body = snapshot.body
        if len(body) > self._connection.max_bytes:
            claim = await self._blobs.put(body)
            headers |= {CLAIM: claim.ref, BYTES: str(claim.bytes)}
            body = b""
        while True:
            newest = await last_message(self._connection, self._stream, subject)
            if newest is not None and _position(newest) >= snapshot.position:
                return
            headers[EXPECTED_LAST] = str(newest.seq if newest else 0)
            answer = await publish_until_answered(self._connection, subject, body, headers)
            if answer.error is None:
                return
            if answer.error.err_code not in WRONG_LAST_SEQUENCE:
                raise refused(f"a snapshot of {log}", RefusedError(answer.error))

    async def load(self, log: LogName) -> Snapshot | None:
        """Return the newest snapshot, or None.

        Raises:
            BrokenHistoryError: it lay in the object store and is gone from there.
        """
        newest = await last_message(self._connection, self._stream, self._connection.names.snapshot(log))
        if newest is None:
            return None
        headers = newest.headers()
        body = newest.data
        if CLAIM in headers:
            body = await self._blobs.get(ClaimCheck(headers[CLAIM], int(headers[BYTES]), headers[CLAIM]))
        return Snapshot(int(headers[POSITION]), int(headers[VERSION]), body, int(headers.get(AT, "0")))


def _position(stored: Stored) -> int:
    return int(stored.headers()[POSITION])
