"""The figures as a table for people, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from talka_services.bench.measure import Spread
from talka_services.bench.sessions import Row
from talka_services.cli.screen import console, plain, print_table


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the object that ``--json`` prints."""
    return {"rows": msgspec.to_builtins(rows)}


def print_rows(rows: Sequence[Row]) -> None:
    """Print a line for each figure, then what it was measured on."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        for i, (name, spread) in enumerate(row.figures.items()):
            head = (row.workload, plain(row.variant)) if i == 0 else ("", "")
            tail = (str(row.repetitions), f"{100 * row.others:.0f} %") if i == 0 else ("", "")
            lines.append((*head, name, *_cells(spread), spread.unit, *tail))
    columns = ("", "workload", "figure", "median", "min", "max", "unit", "runs", "others' CPU")
    print_table(columns, lines, right=("median", "min", "max", "runs", "others' CPU"))
    if rows:
        screen = console()
        machine = rows[0].machine
        screen.print(
            f"{machine.cores} cores, {machine.memory_mb} MiB, {machine.kernel}, Python {machine.python}, "
            f"nats-server {machine.nats_server}"
        )
        screen.print(plain("; ".join(f"{name}: {value}" for name, value in rows[0].settings.items())))
        screen.print(f"load before each workload: {', '.join(f'{row.load:g}' for row in rows)}")


def _cells(spread: Spread) -> tuple[str, str, str]:
    return _rounded(spread.median), _rounded(spread.min), _rounded(spread.max)


def _rounded(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
