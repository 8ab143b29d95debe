"""Names of traces and spans, derived from what they show.

Nothing has to be passed along for services to agree on them, and a trace that
is sent twice is the same trace. The forms are those of the W3C recommendation
"Trace Context".
"""

from __future__ import annotations

from hashlib import blake2b

TRACE_BYTES = 16
SPAN_BYTES = 8
ATTEMPT = "attempt"


def trace_id(execution_id: str) -> str:
    """Return the trace of an execution: 32 hexadecimal digits."""
    return _digest((execution_id,), TRACE_BYTES)


def span_id(execution_id: str, *parts: str | int) -> str:
    """Return a span of an execution's trace, its root without ``parts``: 16 hexadecimal digits."""
    return _digest((execution_id, *parts), SPAN_BYTES)


def attempt_span_id(execution_id: str, task_id: str, attempt: int) -> str:
    """Return the span that shows one attempt of a task."""
    return span_id(execution_id, ATTEMPT, task_id, attempt)


def traceparent(execution_id: str, task_id: str, attempt: int) -> str:
    """Return the ``traceparent`` under which an attempt's own spans become children of its span."""
    return f"00-{trace_id(execution_id)}-{attempt_span_id(execution_id, task_id, attempt)}-01"


def _digest(parts: tuple[str | int, ...], size: int) -> str:
    """Return a digest that is never all zeroes, which the recommendation forbids."""
    named = "\0".join(map(str, parts)).encode()
    digest = blake2b(named, digest_size=size).digest()
    return digest.hex() if any(digest) else f"{1:0{2 * size}x}"
