"""How long a failed task waits before its next attempt."""

from __future__ import annotations

import hashlib

BASE_MS = 200
CAP_MS = 60_000


def delay_ms(execution_id: str, task_id: str, failures: int) -> int:
    """Return the pause after the given number of failures, in milliseconds.

    It doubles from ``BASE_MS`` to ``CAP_MS``; the jitter of up to a half is a
    hash of its arguments, so a replay finds the same delay.
    """
    full = min(CAP_MS, BASE_MS << min(failures - 1, 16))
    digest = hashlib.blake2b(f"{execution_id}/{task_id}/{failures}".encode(), digest_size=4).digest()
    return full - int(full / 2 * int.from_bytes(digest, "big") / 2**32)
