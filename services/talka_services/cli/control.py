"""``talka watch`` and ``talka cancel``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import coloured, console, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.results import ExecutionStatus, WorkflowResult

ANSWER_S = 5.0

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="An execution id.")]
Reason = Annotated[str, typer.Option("--reason", help="Kept with the execution.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "watch")(watch)
    command(app, "cancel")(cancel)


def watch(target: Target, execution_id: ExecutionId) -> None:
    """Follow an execution to its end; its exit code is that of `run`. Ctrl-C stops watching only."""
    from talka_services.cli.report import exit_code, print_summary, result_document

    result = run_loop(_watch(target, execution_id))
    if target.is_json:
        print_json(result_document(result))
    else:
        print_summary(result)
    raise typer.Exit(exit_code(result.status))


async def _watch(target: Target, execution_id: str) -> WorkflowResult:
    from talka_services.cli.following import follow
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        await orchestrator.get_execution_status(execution_id)
        return await follow(orchestrator, execution_id, is_quiet=target.is_json)


def cancel(target: Target, execution_id: ExecutionId, reason: Reason = "") -> None:
    """Ask an execution to stop: what runs is stopped, the rest does not start."""
    is_recorded, status = run_loop(_cancel(target, execution_id, reason))
    if target.is_json:
        document = {"execution_id": execution_id, "cancelled": is_recorded, "status": status.status.value}
        print_json(document)
        return
    state = coloured(status.status.value)
    if is_recorded:
        console().print(f"{execution_id} is being cancelled")
    elif status.is_final:
        console().print(f"{execution_id} was over already: {state}")
    else:
        console().print(f"{execution_id}: the request is on file; no scheduler runs now, so it waits for one")


async def _cancel(target: Target, execution_id: str, reason: str) -> tuple[bool, ExecutionStatus]:
    """Return whether the scheduler has recorded the request, and the status then."""
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        status = await orchestrator.get_execution_status(execution_id)
        if status.is_final:
            return False, status
        try:
            async with asyncio.timeout(ANSWER_S):
                is_recorded = await orchestrator.cancel_execution(execution_id, reason)
        except TimeoutError:
            is_recorded = False
        return is_recorded, await orchestrator.get_execution_status(execution_id)
