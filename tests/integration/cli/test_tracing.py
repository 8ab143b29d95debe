"""Traces of a real execution: as a chart, for Perfetto, and at a collector that speaks OTLP."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.integration.cli.shell import Shell
from tests.integration.otlp import collector

from talka_core.traceparent import traceparent

TRACED = """
talka: 1
name: traced
tasks:
  - {id: first, agent_type: command, payload: {shell: 'echo "$TRACEPARENT"'}, resources: {cpu_cores: 1}}
  - id: flaky
    agent_type: command
    payload: {shell: 'test "$TALKA_ATTEMPT" -gt 1'}
    retries: 1
    retry: {base_seconds: 0.01}
    depends_on: [first]
  - {id: nap, agent_type: wait, payload: {seconds: 0.01}, depends_on: [first]}
  - id: below
    agent_type: workflow
    workflow: {tasks: [{id: leaf, agent_type: sleep, payload: {seconds: 0}}]}
    depends_on: [flaky, nap]
"""


@pytest.fixture(scope="module")
def done(shell: Shell) -> dict[str, Any]:
    """The result of the workflow that is traced."""
    (shell.directory / "traced.yaml").write_text(TRACED)
    result: dict[str, Any] = shell.json("run", "traced.yaml", "--data-dir", "traced")
    return result


def test_a_trace_reaches_a_collector_whole(shell: Shell, done: dict[str, Any]) -> None:
    """Every service has spans there, under the right parents; a task was told the span of its attempt."""
    execution_id = done["execution_id"]
    with collector() as taken:
        sent = shell.json("trace", execution_id, "--data-dir", "traced", "--otlp", taken.url)
    services: dict[str, str] = {}
    spans: dict[str, Span] = {}
    for group in taken.traces[0].resource_spans:
        name = next(a.value.string_value for a in group.resource.attributes if a.key == "service.name")
        for span in (span for scope in group.scope_spans for span in scope.spans):
            assert span.trace_id.hex() == sent["trace_id"]
            spans[span.span_id.hex()] = span
            services[span.span_id.hex()] = name
    assert len(spans) == sent["sent"] == sent["spans"]
    assert set(services.values()) == {"talka-planner", "talka-scheduler", "talka-resource", "talka-worker"}

    def path(span: Span) -> list[str]:
        parent = spans.get(span.parent_span_id.hex())
        return [*(path(parent) if parent else []), span.name]

    paths = {tuple(path(span)) for span in spans.values()}
    assert {each[0] for each in paths} == {"execution traced"}
    assert {
        ("execution traced", "plan"),
        ("execution traced", "task first", "resource wait"),
        ("execution traced", "task first", "attempt 1"),
        ("execution traced", "task flaky", "attempt 1"),
        ("execution traced", "task flaky", "attempt 2"),
        ("execution traced", "task nap", "wait"),
    } <= paths
    told = done["tasks"]["first"]["result"]["stdout"].strip()
    assert told == traceparent(execution_id, "first", 1)
    attempt = spans[told.split("-")[2]]
    assert (attempt.name, services[told.split("-")[2]]) == ("attempt 1", "talka-worker")
    failed = next(span for span in spans.values() if path(span)[1:] == ["task flaky", "attempt 1"])
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert [event.name for event in failed.events] == ["exception"]
    linked = next(span for span in spans.values() if span.name == "task below")
    assert len(linked.links) == 1


def test_a_trace_is_shown_and_written(shell: Shell, done: dict[str, Any]) -> None:
    """The chart has a row for each task, and the file is what Perfetto reads: rows do not overlap."""
    execution_id = done["execution_id"]
    shown = shell.run("trace", execution_id, "--data-dir", "traced", "--rows", "3")
    assert "█" in shown
    shell.run("trace", execution_id, "--data-dir", "traced", "-o", "trace.json")
    document = json.loads((shell.directory / "trace.json").read_text())
    drawn = [event for event in document["traceEvents"] if event["ph"] == "X"]
    assert {event["pid"] for event in drawn} == {1, 2}
    lanes: dict[int, list[tuple[float, float]]] = {}
    for event in drawn:
        if event["pid"] == 2:
            lanes.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in lanes.values():
        assert all(a[1] <= b[0] for a, b in zip(sorted(spans), sorted(spans)[1:], strict=False))
    refused = shell.json("trace", execution_id, "--data-dir", "traced", "--otlp", "localhost:4318", code=2)
    assert "no address of a collector" in refused["error"]["message"]


@pytest.mark.slow
def test_traces_are_sent_as_executions_end_through_outages_and_kills(shell: Shell) -> None:
    """What ends while the collector is away or the platform dies is sent later, with the same ids."""
    (shell.directory / "traced.yaml").write_text(TRACED)
    up = ("up", "--json", "--data-dir", "sending", "--http-port", "0", "--otlp")
    with collector() as taken:
        process = shell.start(*up, taken.url)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] == "up"
        first = shell.json("run", "traced.yaml", "--data-dir", "sending")["execution_id"]
        _until(lambda: first in _sent(taken.traces) and len(taken.metrics) > 0)
    second = shell.json("run", "traced.yaml", "--data-dir", "sending")["execution_id"]
    process.kill()
    process.communicate()
    port = int(taken.url.rpartition(":")[2])
    with collector(port) as taken:
        process = shell.start(*up, taken.url)
        _until(lambda: second in _sent(taken.traces))
        assert first not in _sent(taken.traces)
        spans = [
            span
            for group in taken.traces
            for part in group.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]
        ids = {span.span_id for span in spans}
        assert all(span.parent_span_id in ids or span.name.startswith("execution ") for span in spans)
        services = {
            attribute.value.string_value
            for group in taken.traces
            for part in group.resource_spans
            for attribute in part.resource.attributes
            if attribute.key == "service.name"
        }
        assert services == {"talka-planner", "talka-scheduler", "talka-resource", "talka-worker"}
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 0
        # One request when the gateway began, and one when it was told to stop.
        assert len(taken.metrics) >= 2


def _sent(taken: list[ExportTraceServiceRequest]) -> set[str]:
    """Return the executions whose root spans were taken."""
    return {
        attribute.value.string_value
        for group in taken
        for part in group.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
        if span.name.startswith("execution")
        for attribute in span.attributes
        if attribute.key == "talka.execution.id"
    }


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)
