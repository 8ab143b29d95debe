"""The `Blobs` port over the JetStream object store; an object's name is its digest."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from talka_protocols.errors import BrokenHistoryError, ServerUnavailableError
from talka_protocols.workflow import ClaimCheck
from talka_services.jetstream import objects
from talka_services.jetstream.collector import RENEWED, age_of
from talka_services.jetstream.connection import Connection

PATIENCE_S = 30.0


class JetStreamBlobs:
    """Values in the object store ``objects`` of a namespace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, data: bytes) -> ClaimCheck:
        """Store the bytes unless they are there already.

        Raises:
            ServerUnavailableError: the server did not take them within half a minute.
            PlatformError: it refused them.
        """
        digest = sha256(data).hexdigest()
        claim = ClaimCheck(digest, len(data), digest)
        try:
            async with asyncio.timeout(PATIENCE_S):
                if not await self._is_there(claim):
                    await objects.write(self._connection, digest, data)
        except TimeoutError as error:
            raise self._unavailable("take", claim) from error
        return claim

    async def get(self, claim: ClaimCheck) -> bytes:
        """Return the bytes, their digest verified.

        Raises:
            BrokenHistoryError: they are gone, or their digest differs.
            ServerUnavailableError: the server did not hand them out within half a minute.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                stored = await objects.find(self._connection, claim.ref)
                if stored is None:
                    raise broken(claim, "it is not there")
                data = await objects.read(self._connection, stored)
        except objects.IncompleteError as error:
            raise broken(claim, str(error)) from error
        except TimeoutError as error:
            raise self._unavailable("hand out", claim) from error
        if sha256(data).hexdigest() != claim.sha256:
            raise broken(claim, "its digest differs")
        return data

    async def _is_there(self, claim: ClaimCheck) -> bool:
        try:
            stored = await objects.find(self._connection, claim.ref)
        except objects.IncompleteError:
            return False
        # An old value may be about to be collected as one that nothing names: write it again.
        return stored is not None and stored.size == claim.bytes and age_of(stored.mtime) < RENEWED

    def _unavailable(self, what: str, claim: ClaimCheck) -> ServerUnavailableError:
        return ServerUnavailableError(
            f"{self._connection.address} did not {what} {claim.ref} ({claim.bytes} bytes) in time.",
            hint="Doing it again is safe.",
        )


def broken(claim: ClaimCheck, reason: str) -> BrokenHistoryError:
    """Return the error for a stored value that cannot be had any more."""
    return BrokenHistoryError(
        f"The stored value {claim.ref} ({claim.bytes} bytes) cannot be read: {reason}.",
        hint="Restart the execution from the task that produced it.",
    )
