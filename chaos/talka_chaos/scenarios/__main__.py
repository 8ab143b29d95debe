"""``python -m talka_chaos.scenarios [NAME...] [--times N] [--json]``: break real processes, and judge."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from talka_chaos.scenarios.catalogue import CATALOGUE, upgrades
from talka_chaos.scenarios.older import OLDER
from talka_chaos.scenarios.report import table
from talka_chaos.scenarios.running import Outcome, run_once
from talka_chaos.scenarios.scenario import Scenario, missing
from talka_services.loop import run as run_loop


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    times: Annotated[int, typer.Option(help="How often to run each.", min=1)] = 1,
    first: Annotated[int, typer.Option("--from", help="The number of the first run.", min=0)] = 0,
    old: Annotated[str, typer.Option(metavar="COMMIT", help="What is upgraded from.")] = OLDER,
    keep: Annotated[Path | None, typer.Option(help="Where to keep the logs of runs with violations.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One object a run, and no table.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="Say which there are, and run none.")] = False,
) -> None:
    """Run scenarios: real processes under load, of which something is broken and healed."""
    known = CATALOGUE | {scenario.name: scenario for scenario in upgrades(old)}
    chosen = [_named(name, known) for name in names or known]
    if only_list:
        for scenario in chosen:
            typer.echo(f"{scenario.name}: {scenario.fault}")
        return
    # Whoever ends this with a signal leaves no mounted disk and no network behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What our own clients log of outages is expected; the platform's logs are files.
    logging.disable(logging.CRITICAL)
    outcomes: list[Outcome] = []
    for scenario in chosen:
        if lacking := missing(scenario.needs):
            typer.echo(f"{scenario.name}: not run here, it needs {'; '.join(lacking)}", err=True)
            continue
        for number in range(first, first + times):
            outcome = _run(scenario, number, keep)
            outcomes.append(outcome)
            _tell(outcome, number, as_json=as_json)
    if not as_json and outcomes:
        typer.echo("\n" + table(outcomes))
    sys.exit(0 if all(outcome.is_healthy for outcome in outcomes) else 1)


def _run(scenario: Scenario, number: int, keep: Path | None) -> Outcome:
    """Run a scenario; if it fails by itself that counts as a violation, and others can still be run."""
    try:
        return run_loop(run_once(scenario, number, keep))
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told, and the exit code is 1)
        traceback.print_exc()
        return Outcome(scenario.name, 0, 0, 0, 0, 0, 0.0, 0.0, (f"X1 the scenario failed: {error!r}",))


def _named(name: str, known: Mapping[str, Scenario]) -> Scenario:
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of: {', '.join(known)}")
    return known[name]


def _tell(outcome: Outcome, number: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(outcome))
        return
    verdict = "holds" if outcome.is_healthy else f"{len(outcome.violations)} VIOLATIONS"
    typer.echo(
        f"{outcome.scenario} #{number}: {verdict}, {outcome.executions} executions,"
        f" {outcome.attempts - outcome.tasks} attempts more, {outcome.retries} calls again,"
        f" broken {outcome.broken_s:g} s, all ended {outcome.ended_s:g} s after"
    )
    for sentence in outcome.violations[:10]:
        typer.echo(f"  {sentence[:1_000]}")


if __name__ == "__main__":
    typer.run(main)
