"""``python -m talka_chaos --seeds N``: simulate that many worlds and name the seeds that fail."""

from __future__ import annotations

import logging
import sys
import time
from typing import Annotated

import typer

from talka_chaos.sim import run


def main(
    seeds: Annotated[int, typer.Option(help="How many worlds to simulate.", min=1)] = 200,
    first: Annotated[int, typer.Option("--from", help="The first seed.", min=0)] = 0,
    *,
    verbose: Annotated[bool, typer.Option(help="Show what the actors log.")] = False,
) -> None:
    """Simulate whole clusters in virtual time, each under the faults of its own seed."""
    logging.disable(logging.NOTSET if verbose else logging.CRITICAL)
    started_s, failed, tasks = time.monotonic(), 0, 0
    for seed in range(first, first + seeds):
        report = run(seed)
        tasks += report.tasks
        if report.is_healthy:
            continue
        failed += 1
        typer.echo(f"seed {seed} failed after {report.virtual_s:.1f} virtual seconds:")
        for finding in report.findings[:10]:
            typer.echo(f"  {finding[:2_000]}")
        typer.echo(f"  again: python -m talka_chaos --seeds 1 --from {seed} --verbose")
    took_s = time.monotonic() - started_s
    typer.echo(f"{seeds} worlds, {tasks} tasks, {failed} failed, {seeds / took_s:.1f} worlds/s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
