"""``talka trace``: what an execution spent its time on, here, in Perfetto or in a tracing system."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import coloured, console, duration, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.tracing import Trace
    from talka_services.otlp.metrics import MetricCollector
    from talka_services.tracing.otlp import Collector

ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write a file that https://ui.perfetto.dev opens.")
]
Otlp = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
        show_envvar=False,
        help="Send the trace to an OpenTelemetry collector (OTLP over HTTP), http://localhost:4318.",
    ),
]
Rows = Annotated[int, typer.Option("--rows", min=1, help="How many tasks the chart shows.")]
ROWS = 50


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "trace")(trace)


def trace(
    target: Target, execution_id: ExecutionId, output: Output = None, otlp: Otlp = None, rows: Rows = ROWS
) -> None:
    """Show what each task spent its time on: waiting for a turn, for resources, running, trying again.

    The trace is made from the execution's log, so it can be had of every execution,
    at any time, and is the same each time. With -o it goes to a file for Perfetto or
    Chrome, with --otlp to a tracing system such as Jaeger, Tempo or an OpenTelemetry collector.
    """
    collector = collector_at(otlp) if otlp else None
    found = run_loop(_found(target, execution_id))
    sent = _sent(collector, found) if collector else 0
    size = _written(output, found) if output else 0
    if target.is_json:
        _print_json(found, output, size, sent)
        return
    if output:
        console().print(f"{plain(output)} ({size:,} bytes): open it at https://ui.perfetto.dev")
    if collector:
        console().print(f"trace {found.trace_id}: {sent} spans sent to {plain(collector.url)}")
    if not output and not collector:
        _show(found, rows)


async def _found(target: Target, wanted: str) -> Trace:
    from talka_services.cli.records import open_execution
    from talka_services.tracing import read_trace

    async with open_execution(target, wanted) as (records, execution_id):
        return await read_trace(records.histories, execution_id, time.time_ns() // 1_000_000)


def collector_at(url: str) -> Collector:
    """Return the collector of traces at an address.

    Raises:
        UsageError: the extra `otel` is not installed.
        CallerError: the address is none.
    """
    try:
        from talka_services.tracing.otlp import Collector
    except ImportError as error:
        raise _not_installed("Traces", error) from error
    return Collector(url)


def metric_collector_at(url: str) -> MetricCollector:
    """Return the collector of metrics at an address.

    Raises:
        UsageError: the extra `otel` is not installed.
        CallerError: the address is none.
    """
    try:
        from talka_services.otlp.metrics import MetricCollector
    except ImportError as error:
        raise _not_installed("Metrics", error) from error
    return MetricCollector(url)


def _not_installed(what: str, error: ImportError) -> UsageError:
    return UsageError(
        f"{what} cannot be sent, because {error.name} is not installed.",
        hint="Install it with: pip install 'talka[otel]'.",
    )


def _sent(collector: Collector, found: Trace) -> int:
    try:
        return collector.send(found)
    finally:
        collector.close()


def _written(place: Path, found: Trace) -> int:
    import msgspec

    from talka_services.tracing import chrome_trace

    body = msgspec.json.encode(chrome_trace(found))
    try:
        place.write_bytes(body)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written: {error.strerror}.", hint="Name another file."
        ) from error
    return len(body)


def _print_json(found: Trace, output: Path | None, size: int, sent: int) -> None:
    import msgspec

    if output is None and not sent:
        print_json(msgspec.to_builtins(found))
        return
    file = {"file": str(output), "bytes": size} if output else {}
    print_json({"trace_id": found.trace_id, "spans": len(found.spans), "sent": sent, **file})


def _show(found: Trace, rows: int) -> None:
    from talka_services.cli.gantt import gantt

    root, screen = found.spans[0], console()
    took = duration((root.ended_at - root.began_at) / 1000)
    state = "running" if root.is_open else {"ok": "succeeded", "error": "failed"}.get(root.outcome, "ended")
    screen.print(f"{plain(found.execution_id)}  {coloured(state)}  {took}  trace {found.trace_id}")
    for line in gantt(found, min(screen.width, 160), rows):
        screen.print(line)
