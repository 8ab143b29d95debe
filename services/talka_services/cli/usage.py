"""``talka usage``: what tasks asked for, what they used, and what they should ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, duration, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.forecast import Requirement
    from talka_core.scheduler import ExecutionRecord
    from talka_core.scheduler.usage import Proposal

ExecutionIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Execution ids, or exported FILEs (or FILE#ID)."),
]
Propose = Annotated[
    bool,
    typer.Option(
        "--propose", help="Say what each kind of task should ask for, from all that is named or known."
    ),
]
KIND_COLUMNS = (
    "workflow",
    "task",
    "runs",
    "over",
    "cores",
    "asked",
    "propose",
    "memory MiB",
    "asked ",
    "propose ",
)
COLUMNS = ("task", "took", "cores", "asked", "propose", "memory MiB", "asked ", "propose ")
GPU_COLUMNS = ("GPUs", "asked  ", "GPU MiB")

NOTHING = "Nothing was measured: only commands and Python tasks with processes of their own can be."


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "usage")(usage)


def usage(target: Target, execution_ids: ExecutionIds = None, propose: Propose = False) -> None:
    """Show what the tasks of an execution used, and propose better requirements.

    With --propose it is one line for each kind of task, over the executions
    that are named, else over the newest hundred: the 95th percentile of what
    was used, and a quarter more of memory.
    """
    from talka_core.scheduler.usage import proposals

    named = execution_ids or []
    if propose:
        _propose(target, named)
        return
    if len(named) != 1:
        raise UsageError("Name one execution.", hint="`talka usage --propose` looks at all of them.")
    found = proposals(run_loop(_execution(target, named[0])))
    if target.is_json:
        print_json({"execution_id": named[0], "tasks": {p.task_id: _document(p) for p in found}})
    elif any(each.usage.gpus is not None or each.asked.gpu_count for each in found):
        columns = (*COLUMNS, *GPU_COLUMNS)
        print_table(columns, ((*_row(each), *_gpu_cells(each)) for each in found), right=columns[1:])
    elif found:
        print_table(COLUMNS, map(_row, found), right=COLUMNS[1:])
    else:
        console().print(NOTHING)


def _propose(target: Target, named: list[str]) -> None:
    from talka_core.forecast import requirements

    states = [run_loop(_execution(target, each)) for each in named] if named else run_loop(_newest(target))
    found = requirements(states)
    if target.is_json:
        print_json({"executions": len(states), "kinds": [_kind_document(each) for each in found]})
    elif found:
        print_table(KIND_COLUMNS, map(_kind_row, found), right=KIND_COLUMNS[2:])
    else:
        console().print(NOTHING)


async def _newest(target: Target) -> list[ExecutionRecord]:
    from talka_services.cli.records import open_records
    from talka_services.client.recollecting import newest_on_record

    async with open_records(target) as records:
        return await newest_on_record(records.histories)


def _kind_document(found: Requirement) -> dict[str, Any]:
    cores, memory = found.cpu_cores, found.memory_mb
    return {
        "workflow": found.kind.workflow,
        "task": found.kind.name,
        "agent_type": found.kind.agent_type,
        "tasks": found.tasks,
        "overused": found.overused,
        "cpu_cores": {"asked": found.asked_cpu_cores, "p95": cores, "proposed": found.proposed_cpu_cores},
        "memory_mb": {"asked": found.asked_memory_mb, "p95": memory, "proposed": found.proposed_memory_mb},
    }


def _kind_row(found: Requirement) -> tuple[str, ...]:
    return (
        plain(found.kind.workflow),
        plain(found.kind.name),
        str(found.tasks),
        f"[yellow]{found.overused}[/]" if found.overused else "0",
        _amount(found.cpu_cores, 2),
        f"{found.asked_cpu_cores:g}" if found.asked_cpu_cores else "-",
        _amount(found.proposed_cpu_cores, 2),
        _amount(found.memory_mb, 1),
        f"{found.asked_memory_mb:g}" if found.asked_memory_mb else "-",
        _amount(found.proposed_memory_mb, 0),
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
        "gpu_count": {"asked": found.asked.gpu_count, "used": used.gpus},
        "gpu_memory_mb": {"used": used.gpu_memory_mb},
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


def _gpu_cells(found: Proposal) -> tuple[str, ...]:
    used, asked = found.usage, found.asked.gpu_count
    is_over = any(item.resource == "gpu_count" for item in found.overuse)
    return _amount(used.gpus, 0, is_over=is_over), str(asked or "-"), _amount(used.gpu_memory_mb, 1)


def _amount(amount: float | None, digits: int, *, is_over: bool = False) -> str:
    if amount is None:
        return "-"
    return f"[yellow]{amount:.{digits}f}[/]" if is_over else f"{amount:.{digits}f}"
