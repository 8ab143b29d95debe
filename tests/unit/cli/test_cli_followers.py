"""What ``--otlp`` comes to, by the address and by the variables that OpenTelemetry has."""

from __future__ import annotations

import sys

import pytest

from talka_services.cli.followers import INTERVAL, with_followers
from talka_services.cli.outcome import UsageError
from talka_services.gateway import GatewayOptions

URL = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (INTERVAL, "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


def _options(otlp: str | None) -> GatewayOptions:
    """Return what a gateway would do, and give back what it would do it with."""
    options = with_followers(GatewayOptions(), None, (), otlp)
    for collector in (options.collector, options.metric_collector):
        if collector is not None:
            collector.close()
    return options


def test_one_address_takes_traces_and_metrics() -> None:
    options = _options(URL)
    assert options.collector is not None
    assert options.metric_collector is not None
    assert options.collector.url == f"{URL}/v1/traces"
    assert options.metric_collector.url == f"{URL}/v1/metrics"
    assert options.metric_interval_s == 15


def test_nothing_is_sent_unless_somebody_says_where() -> None:
    options = _options(None)
    assert (options.collector, options.metric_collector) == (None, None)


def test_what_a_collector_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jaeger takes no metrics, Prometheus no traces: each would be refused for ever."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    options = _options(URL)
    assert (options.collector is None, options.metric_collector is None) == (False, True)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    options = _options(URL)
    assert (options.collector is None, options.metric_collector is None) == (True, False)


def test_the_interval_is_told_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERVAL, " 2500 ")
    assert _options(URL).metric_interval_s == 2.5
    for wrong in ("0", "-1", "15s", "1.5"):
        monkeypatch.setenv(INTERVAL, wrong)
        with pytest.raises(UsageError, match=f"{INTERVAL} is '{wrong}'"):
            _options(URL)


@pytest.mark.parametrize(
    ("what", "module", "needed"),
    [
        ("Traces", "talka_services.tracing.otlp", "opentelemetry.exporter.otlp.proto.http.trace_exporter"),
        ("Metrics", "talka_services.otlp.metrics", "opentelemetry.exporter.otlp.proto.http.metric_exporter"),
    ],
)
def test_what_is_not_installed_is_named(
    what: str, module: str, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is optional; whoever asks for what it does is told how to get it."""
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(UsageError, match=f"{what} cannot be sent, because {needed} is not") as refused:
        _options(URL)
    assert "talka[otel]" in refused.value.hint
