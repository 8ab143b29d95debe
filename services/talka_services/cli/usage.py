"""``talka usage``: what tasks asked for, what they used, and what they should ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import console, duration, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_core.scheduler.usage import Proposal

ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
COLUMNS = ("task", "took", "cores", "asked", "propose", "memory MiB", "asked ", "propose ")


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "usage")(usage)


def usage(target: Target, execution_id: ExecutionId) -> None:
    """Show what the tasks of an execution used, and propose better requirements."""
    from talka_core.scheduler.usage import proposals

    found = proposals(run_loop(_execution(target, execution_id)))
    if target.is_json:
        print_json({"execution_id": execution_id, "tasks": {p.task_id: _document(p) for p in found}})
    elif found:
        print_table(COLUMNS, map(_row, found), right=COLUMNS[1:])
    else:
        console().print(
            "Nothing was measured: only commands and Python tasks with processes of their own can be."
        )


async def _execution(target: Target, wanted: str) -> ExecutionRecord:
    from talka_services.cli.records import open_execution

    async with open_execution(target, wanted) as (records, execution_id):
        return await records.histories.execution(execution_id)


def _document(found: Proposal) -> dict[str, Any]:
    used = found.usage
    return {
        "agent_type": found.agent_type,
        "attempt": found.attempt,
        "wall_s": used.wall_ms / 1000,
        "cpu_s": None if used.cpu_ms is None else used.cpu_ms / 1000,
        "cpu_cores": {"asked": found.asked.cpu_cores, "used": used.cores, "proposed": found.cpu_cores},
        "memory_mb": {"asked": found.asked.memory_mb, "used": used.memory_mb, "proposed": found.memory_mb},
        "overuse": [over.resource for over in found.overuse],
    }


def _row(found: Proposal) -> tuple[str, ...]:
    used, asked = found.usage, found.asked
    over = {item.resource for item in found.overuse}
    return (
        plain(found.task_id),
        duration(used.wall_ms / 1000),
        _amount(used.cores, 2, is_over="cpu_cores" in over),
        f"{asked.cpu_cores:g}" if asked.cpu_cores else "-",
        _amount(found.cpu_cores, 2),
        _amount(used.memory_mb, 1, is_over="memory_mb" in over),
        f"{asked.memory_mb:g}" if asked.memory_mb else "-",
        _amount(found.memory_mb, 0),
    )


def _amount(amount: float | None, digits: int, *, is_over: bool = False) -> str:
    if amount is None:
        return "-"
    return f"[yellow]{amount:.{digits}f}[/]" if is_over else f"{amount:.{digits}f}"
