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
        envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
        show_envvar=False,
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
    if webhook and not is_served:
        raise UsageError("Alerts are sent by the gateway.", hint="Leave out --no-http, or --webhook.")
    collector = collector_at(otlp) if otlp and is_served else None
    return replace(options, alerts=alert_options(webhook, limits), collector=collector)
