"""What a gateway does beside answering: it raises alerts, and sends traces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from talka_services.cli.alerts import alert_options
from talka_services.cli.outcome import UsageError
from talka_services.cli.tracing import collector_at

if TYPE_CHECKING:
    from talka_services.gateway import GatewayOptions

SendTraces = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        envvar="TALKA_OTLP",
        help="Send the trace of each execution that ends to an OpenTelemetry collector (OTLP over HTTP).",
    ),
]


def refuse_followers(webhook: str | None, otlp: str | None) -> None:
    """Refuse what nobody would do where there is no gateway.

    Raises:
        UsageError: one of them is given.
    """
    for option, value in (("--webhook", webhook), ("--otlp", otlp)):
        if value:
            raise UsageError(
                f"What {option} asks for is done by the gateway.", hint=f"Leave out --no-http, or {option}."
            )


def with_followers(
    options: GatewayOptions, webhook: str | None, limits: Iterable[str], otlp: str | None
) -> GatewayOptions:
    """Return the options of a gateway that also follows the log.

    Raises:
        UsageError: there is no such limit, or the extra `otel` is not installed.
        CallerError: an address is none.
    """
    collector = collector_at(otlp) if otlp else None
    return replace(options, alerts=alert_options(webhook, limits), collector=collector)
