"""Where a collector takes traces and metrics, from the one address that people give."""

from __future__ import annotations

import logging
from enum import StrEnum
from urllib.parse import urlsplit

from talka_protocols.errors import CallerError, PlatformError

# What the exporters log about a failure is raised as one error.
logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)


class Signal(StrEnum):
    """What is sent, by the word that OTLP has for it in paths."""

    TRACES = "traces"
    METRICS = "metrics"


class CollectorError(PlatformError):
    """The collector did not take what it was sent."""

    code = "collector_unavailable"


def endpoint(url: str, signal: Signal) -> str:
    """Return where a collector takes a signal.

    The address is its base, as in ``http://localhost:4318`` or ``https://host/otlp``, below which OTLP
    has paths of its own; where it ends with a signal's name, the other signals are taken beside it.

    Raises:
        CallerError: the address is none.
    """
    try:
        parts = urlsplit(url)
        # A port that is none is told only to who asks for it.
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, is_address = urlsplit(""), False
    if not is_address:
        raise CallerError(
            f"{url!r} is no address of a collector.", hint="It looks like http://localhost:4318."
        )
    path = parts.path.rstrip("/")
    head, _, last = path.rpartition("/")
    whole = f"{head}/{signal}" if last in set(Signal) else f"{path}/v1/{signal}"
    return parts._replace(path=whole).geturl()
