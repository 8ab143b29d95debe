"""Traces of executions, made from their logs: for OpenTelemetry, for Perfetto, for a terminal."""

from talka_services.tracing.chrome import chrome_trace
from talka_services.tracing.sending import Taker, TraceSender
from talka_services.tracing.sources import read_trace

__all__ = ["Taker", "TraceSender", "chrome_trace", "read_trace"]
