"""The Trace Event Format of Chrome, which ui.perfetto.dev opens: one group by task, one by worker.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from talka_protocols.tracing import Service, Span, Trace

TASKS_PID = 1
MICROSECONDS = 1000


def chrome_trace(trace: Trace) -> dict[str, Any]:
    """Return the document; ``json.dump`` it.

    Time counts from the beginning of the execution. The first group has a row
    for the execution and one for each task; each worker has a group with as
    many rows as it had attempts at once.
    """
    root = trace.spans[0]
    events = [_named("process_name", TASKS_PID, 0, "tasks"), _named("thread_name", TASKS_PID, 0, root.name)]
    rows = _rows(trace)
    shown = {0: root.name}
    for span in trace.spans:
        row = rows[span.span_id]
        if row not in shown:
            shown[row] = span.name
            events.append(_named("thread_name", TASKS_PID, row, span.name))
        events += _drawn(span, root.began_at, TASKS_PID, row)
    events += _by_worker(trace, root.began_at)
    other = {"execution_id": trace.execution_id, "trace_id": trace.trace_id, "began_at_ms": root.began_at}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}


def _rows(trace: Trace) -> dict[str, int]:
    """Return the row of each span by its id: all runs of one task share one."""
    rows: dict[str, int] = {}
    by_name: dict[str, int] = {}
    root = trace.spans[0]
    for span in trace.spans:
        task_id = span.attributes.get("talka.task.id")
        if span.parent_id == root.span_id and task_id is not None:
            rows[span.span_id] = by_name.setdefault(str(task_id), len(by_name) + 1)
        else:
            rows[span.span_id] = rows.get(span.parent_id, 0)
    return rows


def _by_worker(trace: Trace, origin: int) -> Iterator[dict[str, Any]]:
    attempts: dict[str, list[Span]] = {}
    for span in trace.spans:
        if span.service is Service.WORKER:
            attempts.setdefault(str(span.attributes.get("talka.worker.id", "worker")), []).append(span)
    for pid, (worker_id, spans) in enumerate(sorted(attempts.items()), TASKS_PID + 1):
        yield _named("process_name", pid, 0, f"worker {worker_id}")
        for lane, span in lanes(spans):
            title = f"{span.attributes.get('talka.task.id', '')} {span.name}"
            yield from _drawn(span, origin, pid, lane, title)


def lanes(spans: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Yield the spans, by their beginning, with the first row on which each overlaps no other."""
    free_at: list[int] = []
    for span in sorted(spans, key=lambda each: (each.began_at, each.ended_at, each.span_id)):
        lane = next((row for row, at in enumerate(free_at) if at <= span.began_at), len(free_at))
        free_at[lane : lane + 1] = [span.ended_at]
        yield lane, span


def _drawn(span: Span, origin: int, pid: int, row: int, title: str = "") -> Iterator[dict[str, Any]]:
    described = {**span.attributes, "service": span.service, "outcome": span.outcome}
    if span.message:
        described["message"] = span.message
    yield {
        "name": title or span.name,
        "cat": span.service,
        "ph": "X",
        "ts": (span.began_at - origin) * MICROSECONDS,
        "dur": (span.ended_at - span.began_at) * MICROSECONDS,
        "pid": pid,
        "tid": row,
        "args": described,
    }
    for moment in span.moments:
        yield {
            "name": moment.name,
            "cat": span.service,
            "ph": "i",
            "s": "t",
            "ts": (moment.at - origin) * MICROSECONDS,
            "pid": pid,
            "tid": row,
            "args": moment.attributes,
        }


def _named(what: str, pid: int, row: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": row, "args": {"name": name}}
