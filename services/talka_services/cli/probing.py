"""Where a service says whether it lives and is ready: at ``--health``, and once when it begins."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from talka_services.cli.command import Target
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import print_json

if TYPE_CHECKING:
    from talka_services.service.readiness import Readiness

Health = Annotated[
    str | None,
    typer.Option(
        "--health",
        metavar="HOST:PORT",
        envvar="TALKA_HEALTH",
        help="Answer /healthz and /readyz there, for whoever watches processes.",
    ),
]


@asynccontextmanager
async def probed(health: str | None) -> AsyncGenerator[Readiness]:
    """Serve the process's health where ``--health`` says, or nowhere.

    Raises:
        UsageError: it is no host and port.
        AddressInUseError: it cannot listen there.
    """
    place = parse_place(health) if health else None
    if place is None:
        from talka_services.service.readiness import Readiness

        yield Readiness()
        return
    from talka_services.gateway.health import serving_health

    async with serving_health(*place) as readiness:
        yield readiness


def parse_place(text: str) -> tuple[str, int]:
    """Return the host and port of ``HOST:PORT``; an IPv6 address stands in brackets.

    Raises:
        UsageError: it is something else.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = (parts.hostname, parts.port) if parts.netloc == text else (None, None)
    except ValueError:
        host, port = None, None
    if not host or port is None or "@" in text:
        raise UsageError(
            f"--health (or TALKA_HEALTH) {text!r} is no host and port.",
            hint="Write 127.0.0.1:8421, 0.0.0.0:8421 or [::]:8421; port 0 takes any that is free.",
        )
    return host, port


def tell_ready(target: Target, sentence: str, document: dict[str, Any]) -> None:
    """Say once that it is ready: a sentence on standard error, or a line of JSON on standard output."""
    if target.is_json:
        print_json(document)
    else:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
