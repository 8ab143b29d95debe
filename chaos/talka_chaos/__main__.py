"""``python -m talka_chaos --seeds N``: simulate that many worlds and name the seeds that fail."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from typing import Annotated, get_args

import typer

from talka_chaos.features import FEATURES
from talka_chaos.report import Report
from talka_chaos.sim import run
from talka_protocols.events import ExecutionEvent, PlanEvent, PoolEvent, ScheduleEvent, TriggerEvent

KINDS = FEATURES | frozenset(
    kind.__name__
    for union in (ExecutionEvent, PlanEvent, PoolEvent, ScheduleEvent, TriggerEvent)
    for kind in get_args(union)
)
"""Every kind of event that the actors of a world can record, and every feature that is told apart."""
SHOWN_EVERY = 250
"""After so many worlds it says how far it is, on standard error."""


def main(
    seeds: Annotated[int, typer.Option(help="How many worlds to simulate.", min=1)] = 200,
    first: Annotated[int, typer.Option("--from", help="The first seed.", min=0)] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="How many processes share them.", min=1)] = 1,
    *,
    every_kind: Annotated[
        bool, typer.Option(help="Fail, too, if some kind of event or feature never happened.")
    ] = False,
    verbose: Annotated[bool, typer.Option(help="Show what the actors log.")] = False,
) -> None:
    """Simulate whole clusters in virtual time, each under the faults of its own seed."""
    started_s, tasks, failed = time.monotonic(), 0, list[int]()
    events = allocations = 0
    injected: Counter[str] = Counter()
    unseen = set(KINDS)
    for done, report in enumerate(_reports(range(first, first + seeds), jobs, is_verbose=verbose), 1):
        tasks += report.tasks
        events += report.events
        allocations += report.allocations
        injected.update(report.injected)
        unseen -= report.kinds
        if not report.is_healthy:
            failed.append(report.seed)
            _complain(report)
        if done % SHOWN_EVERY == 0:
            pace = done / (time.monotonic() - started_s)
            typer.echo(f"{done} of {seeds} worlds, {len(failed)} failed, {pace:.1f} worlds/s", err=True)
    took_s = time.monotonic() - started_s
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(injected.items()))
    typer.echo(f"faults: {counts}")
    typer.echo(f"audited: {events:,} events, {allocations:,} allocations")
    if every_kind and unseen:
        typer.echo(f"never happened: {', '.join(sorted(unseen))}")
    if failed:
        typer.echo(f"failed seeds: {', '.join(map(str, failed))}")
    typer.echo(f"{seeds} worlds, {tasks} tasks, {len(failed)} failed, {seeds / took_s:.1f} worlds/s")
    sys.exit(1 if failed or (every_kind and unseen) else 0)


def _reports(seeds: range, jobs: int, *, is_verbose: bool) -> Iterator[Report]:
    """Yield the reports in the order of the seeds, whoever runs them."""
    silenced = logging.NOTSET if is_verbose else logging.CRITICAL
    logging.disable(silenced)
    if jobs == 1:
        yield from map(run, seeds)
        return
    with get_context("spawn").Pool(jobs, logging.disable, (silenced,)) as pool:
        yield from pool.imap(run, seeds)


def _complain(report: Report) -> None:
    typer.echo(f"seed {report.seed} failed after {report.virtual_s:.1f} virtual seconds:")
    for finding in report.findings[:10]:
        typer.echo(f"  {finding[:2_000]}")
    typer.echo(f"  again: python -m talka_chaos --seeds 1 --from {report.seed} --verbose")


if __name__ == "__main__":
    typer.run(main)
