"""The table of what scenarios were run, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from talka_chaos.scenarios.catalogue import CATALOGUE
from talka_chaos.scenarios.running import Outcome

COLUMNS = (
    "scenario",
    "what is broken",
    "runs",
    "executions",
    "attempts more",
    "all ended after",
    "violations",
)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table with one row for each scenario."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for name in dict.fromkeys(outcome.scenario for outcome in outcomes):
        runs = [outcome for outcome in outcomes if outcome.scenario == name]
        rows.append(_row(name, runs))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, runs: Sequence[Outcome]) -> tuple[str, ...]:
    return (
        f"`{name}`",
        CATALOGUE[name].fault,
        str(len(runs)),
        _range(run.executions for run in runs),
        _range(run.attempts - run.tasks for run in runs),
        f"{_range(run.ended_s for run in runs)} s",
        str(sum(len(run.violations) for run in runs)),
    )


def _range(numbers: Iterable[float]) -> str:
    found = sorted(numbers)
    return f"{found[0]:g}" if found[0] == found[-1] else f"{found[0]:g} to {found[-1]:g}"
