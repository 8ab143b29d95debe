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


def with_followers(
    options: GatewayOptions,
    webhook: str | None,
    limits: Iterable[str],
    otlp: str | None,
    *,
    is_served: bool = True,
) -> GatewayOptions:
    """Return the options of a gateway that also follows the log.

    Raises:
        UsageError: there is no such limit, the extra `otel` is not installed, or there is no gateway.
        CallerError: an address is none.
    """
    for option, value in (("--webhook", webhook), ("--otlp", otlp)):
        if value and not is_served:
            raise UsageError(
                f"What {option} asks for is done by the gateway.", hint=f"Leave out --no-http, or {option}."
            )
    collector = collector_at(otlp) if otlp else None
    return replace(options, alerts=alert_options(webhook, limits), collector=collector)
