"""A double of an OpenTelemetry collector: it speaks OTLP over HTTP, and keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Taken:
    """What was sent, in the order in which it came."""

    url: str
    traces: list[ExportTraceServiceRequest] = field(default_factory=list[ExportTraceServiceRequest])
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list[ExportMetricsServiceRequest])


@contextmanager
def collector(port: int = 0) -> Generator[Taken]:
    """Take traces and metrics for as long as the context lasts; whatever is sent elsewhere fails."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/x-protobuf"
            status = 200
            match self.path:
                case "/v1/traces":
                    taken.traces.append(ExportTraceServiceRequest.FromString(body))
                case "/v1/metrics":
                    taken.metrics.append(ExportMetricsServiceRequest.FromString(body))
                case _:
                    status = 404
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    taken = Taken(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
