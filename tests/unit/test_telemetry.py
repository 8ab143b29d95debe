"""Log entries as JSON, with the ids of the trace that they belong to."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from talka_core.traceparent import attempt_span_id, trace_id
from talka_services import telemetry


def test_entries_carry_what_they_are_about_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an attempt, of a log, of a library, and of an exception; each is one line."""
    monkeypatch.setattr(telemetry.Form, "is_json", False)
    stream = io.StringIO()
    handler = telemetry.json_handler(stream)
    root = logging.getLogger("talka_services.of_a_test")
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "propagate", False)
    log = telemetry.get_logger(root.name)
    log.warning("attempt.ended", execution_id="x", task_id="a", attempt=2)
    log.warning("log.refused", log="execution.x")
    root.warning("plainly %s", "said")
    try:
        int("as it should")
    except ValueError:
        log.exception("batch.crashed", actor="scheduler.0")
    first, second, third, fourth = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["logger"]) == ("attempt.ended", "warning", root.name)
    assert (first["trace_id"], first["span_id"]) == (trace_id("x"), attempt_span_id("x", "a", 2))
    assert (second["execution_id"], second["trace_id"]) == ("x", trace_id("x"))
    assert third["event"] == "plainly said"
    assert fourth["exception"][0]["exc_type"] == "ValueError"


def test_what_is_left_out_builds_no_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry below the level is not even put together; one that is asked for later is written."""
    standard = logging.getLogger("talka_services.of_another_test")
    built: list[str] = []
    written: list[tuple[str, dict[str, Any]]] = []

    class Logger:
        def info(self, event: str, **facts: Any) -> None:
            written.append((event, facts))

        debug = info

    def build(name: str) -> Logger:
        built.append(name)
        return Logger()

    monkeypatch.setattr("talka_services.telemetry._build", build)
    log = telemetry.get_logger(standard.name)
    log.debug("worker.looked")
    log.info("attempt.ended", task_id="a")
    assert built == []
    standard.setLevel(logging.DEBUG)
    try:
        log.debug("worker.looked")
        log.info("attempt.ended", task_id="a")
    finally:
        standard.setLevel(logging.NOTSET)
    assert built == [standard.name]
    assert written == [("worker.looked", {}), ("attempt.ended", {"task_id": "a"})]
