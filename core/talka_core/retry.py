"""Whether a failed task gets another attempt, and how long it waits for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from math import inf

from talka_protocols.events import TaskFailure
from talka_protocols.policies import RetryPolicy

_PLAIN = RetryPolicy()


def may_retry(policy: RetryPolicy, failure: TaskFailure) -> bool:
    """Tell whether the failure is worth another attempt: ``never`` counts more than ``only``."""
    names = (failure.code, *failure.kinds, *(kind.rpartition(".")[2] for kind in failure.kinds))
    if _matches(policy.never, names):
        return False
    return not policy.only or _matches(policy.only, names)


def delay_ms(execution_id: str, task_id: str, failures: int, policy: RetryPolicy = _PLAIN) -> int:
    """Return the pause after the given number of failures, in milliseconds.

    The jitter, which shortens it, is a hash of the arguments, so a replay
    finds the same delay.
    """
    full = int(1000 * min(policy.max_seconds, policy.base_seconds * _growth(policy.factor, failures - 1)))
    digest = hashlib.blake2b(f"{execution_id}/{task_id}/{failures}".encode(), digest_size=4).digest()
    return full - int(full * policy.jitter * int.from_bytes(digest, "big") / 2**32)


def _growth(factor: float, times: int) -> float:
    try:
        return float(factor) ** times
    except OverflowError:
        return inf


def _matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    return any(_compiled(pattern).fullmatch(name) for pattern in patterns for name in names)


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
