"""The `Blobs` port in memory."""

from __future__ import annotations

from hashlib import sha256

from talka_protocols.errors import BrokenHistoryError
from talka_protocols.workflow import ClaimCheck


class MemoryBlobs:
    """Values by digest."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def put(self, data: bytes) -> ClaimCheck:
        """Store the bytes and return their claim check."""
        digest = sha256(data).hexdigest()
        self._values[digest] = bytes(data)
        return ClaimCheck(digest, len(data), digest)

    async def get(self, claim: ClaimCheck) -> bytes:
        """Return the bytes.

        Raises:
            BrokenHistoryError: they are gone, or their digest differs.
        """
        data = self._values.get(claim.ref)
        if data is None or sha256(data).hexdigest() != claim.sha256:
            raise BrokenHistoryError(
                f"The stored value {claim.ref} ({claim.bytes} bytes) cannot be read.",
                hint="Restart the execution from the task that produced it.",
            )
        return data
