"""Sends traces to an OpenTelemetry collector, by OTLP over HTTP.

The spans are made by hand from the log, so the SDK's tracer, its context and
its clocks have no part in it. Importing this needs the extra ``otel``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from talka_protocols.tracing import Outcome, Service, Span, Trace
from talka_services.otlp.endpoints import CollectorError, Signal, endpoint

TIMEOUT_S = 10
BATCH = 512
"""How many spans one request carries."""
MILLISECOND_NS = 1_000_000
_STATUS = {Outcome.UNSET: StatusCode.UNSET, Outcome.OK: StatusCode.OK, Outcome.ERROR: StatusCode.ERROR}
_KINDS = {Service.WORKER: SpanKind.CONSUMER}


class Collector:
    """An OTLP endpoint such as ``http://localhost:4318``; ``headers`` may hold what it asks for.

    ``attributes`` describe where the traces come from, as ``deployment.environment.name`` does.

    Raises:
        CallerError: the address is none.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, attributes: Mapping[str, str] | None = None
    ) -> None:
        self.url = endpoint(url, Signal.TRACES)
        self._exporter = OTLPSpanExporter(endpoint=self.url, headers=dict(headers or {}), timeout=TIMEOUT_S)
        scope = {"service.namespace": "talka", "service.version": version("talka"), **(attributes or {})}
        self._resources = {
            service: Resource({**scope, "service.name": f"talka-{service.value}"}) for service in Service
        }

    def send(self, trace: Trace) -> int:
        """Send a trace whole and return how many spans it has; sent again, it is the same trace.

        Blocks the calling thread.

        Raises:
            CollectorError: the collector cannot be reached, or refuses it.
        """
        spans = readable(trace, self._resources)
        for first in range(0, len(spans), BATCH):
            if self._exporter.export(spans[first : first + BATCH]) is not SpanExportResult.SUCCESS:
                raise CollectorError(
                    f"The collector at {self.url} did not take the trace of {trace.execution_id}.",
                    hint="Look whether it runs and takes OTLP over HTTP there; then send it again.",
                )
        return len(spans)

    def close(self) -> None:
        """Give the connection back."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # The library says nothing of its type.


def readable(trace: Trace, resources: Mapping[Service, Resource]) -> list[ReadableSpan]:
    """Return the spans in the form of OpenTelemetry's SDK."""
    return [_readable(trace.trace_id, span, resources[span.service]) for span in trace.spans]


def _readable(trace_id: str, span: Span, resource: Resource) -> ReadableSpan:
    described = {**span.attributes, "talka.is_open": True} if span.is_open else span.attributes
    return ReadableSpan(
        span.name,
        _context(trace_id, span.span_id),
        _context(trace_id, span.parent_id) if span.parent_id else None,
        resource,
        described,
        [Event(moment.name, moment.attributes, moment.at * MILLISECOND_NS) for moment in span.moments],
        [Link(_context(link.trace_id, link.span_id), link.attributes) for link in span.links],
        _KINDS.get(span.service, SpanKind.INTERNAL),
        status=Status(_STATUS[span.outcome], span.message or None if span.outcome is Outcome.ERROR else None),
        start_time=span.began_at * MILLISECOND_NS,
        end_time=span.ended_at * MILLISECOND_NS,
        instrumentation_scope=InstrumentationScope("talka", version("talka")),
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
