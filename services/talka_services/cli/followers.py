"""What a gateway does beside answering: it raises alerts, and sends traces and metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from talka_services.cli.alerts import alert_options
from talka_services.cli.outcome import UsageError
from talka_services.cli.tracing import collector_at, metric_collector_at

if TYPE_CHECKING:
    from talka_services.gateway import GatewayOptions

INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
"""The variable that OpenTelemetry has for it, in milliseconds."""

SendByOtlp = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        envvar="TALKA_OTLP",
        help="Send metrics, and traces as executions end, to an OpenTelemetry collector (OTLP over HTTP).",
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
        UsageError: there is no such limit, the interval is none, or the extra `otel` is not installed.
        CallerError: an address is none.
    """
    options = replace(options, alerts=alert_options(webhook, limits))
    if not otlp:
        return options
    return replace(
        options,
        collector=collector_at(otlp) if _is_sent("TRACES") else None,
        metric_collector=metric_collector_at(otlp) if _is_sent("METRICS") else None,
        metric_interval_s=_interval_s(options.metric_interval_s),
    )


def _is_sent(signal: str) -> bool:
    """Return whether a signal is sent: OpenTelemetry's own variables leave one out that a collector lacks."""
    return os.environ.get(f"OTEL_{signal}_EXPORTER") != "none"


def _interval_s(default_s: float) -> float:
    given = os.environ.get(INTERVAL, "").strip()
    if not given:
        return default_s
    if not given.isdecimal() or int(given) == 0:
        raise UsageError(
            f"{INTERVAL} is {given!r}, no number of milliseconds.", hint="15000 is a quarter of a minute."
        )
    return int(given) / 1000
