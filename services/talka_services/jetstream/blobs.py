"""The `Blobs` port over the JetStream object store; an object's name is its digest."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from nats.errors import Error as NatsError
from nats.js.errors import (
    BadObjectMetaError,
    DigestMismatchError,
    ObjectNotFoundError,
)
from nats.js.object_store import ObjectStore

from talka_protocols.errors import BrokenHistoryError, ServerUnavailableError
from talka_protocols.workflow import ClaimCheck
from talka_services.jetstream.collector import RENEWED, age_of
from talka_services.jetstream.connection import Connection

PATIENCE_S = 30.0


class JetStreamBlobs:
    """Values in the object store ``objects`` of a namespace."""

    def __init__(self, connection: Connection) -> None:
        bucket = connection.names.bucket("objects")
        self._address = connection.address
        self._store = ObjectStore(bucket, f"OBJ_{bucket}", connection.js)

    async def put(self, data: bytes) -> ClaimCheck:
        """Store the bytes unless they are there already.

        Raises:
            ServerUnavailableError: the server did not take them within half a minute.
        """
        digest = sha256(data).hexdigest()
        claim = ClaimCheck(digest, len(data), digest)
        try:
            async with asyncio.timeout(PATIENCE_S):
                if not await self._is_there(claim):
                    await self._store.put(digest, data)
        except (TimeoutError, NatsError) as error:
            raise self._unavailable("take", claim, error) from error
        return claim

    async def get(self, claim: ClaimCheck) -> bytes:
        """Return the bytes, their digest verified.

        Raises:
            BrokenHistoryError: they are gone, or their digest differs.
            ServerUnavailableError: the server did not hand them out within half a minute.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                data = (await self._store.get(claim.ref)).data or b""
        except (ObjectNotFoundError, DigestMismatchError, BadObjectMetaError) as error:
            raise broken(claim, type(error).__name__) from error
        except (TimeoutError, NatsError) as error:
            raise self._unavailable("hand out", claim, error) from error
        if sha256(data).hexdigest() != claim.sha256:
            raise broken(claim, "its digest differs")
        return data

    async def _is_there(self, claim: ClaimCheck) -> bool:
        try:
            info = await self._store.get_info(claim.ref)
        except ObjectNotFoundError:
            return False
        # An old value may be about to be collected as one that nothing names: write it again.
        return info.size == claim.bytes and age_of(info.mtime) < RENEWED

    def _unavailable(self, what: str, claim: ClaimCheck, error: Exception) -> ServerUnavailableError:
        return ServerUnavailableError(
            f"{self._address} did not {what} the object {claim.ref} ({claim.bytes} bytes): "
            f"{type(error).__name__} {error}.",
            hint="Doing it again is safe.",
        )


def broken(claim: ClaimCheck, reason: str) -> BrokenHistoryError:
    """Return the error for a stored value that cannot be had any more."""
    return BrokenHistoryError(
        f"The stored value {claim.ref} ({claim.bytes} bytes) cannot be read: {reason}.",
        hint="Restart the execution from the task that produced it.",
    )
