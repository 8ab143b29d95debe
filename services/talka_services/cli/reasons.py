"""``talka explain``: why a task does not run, or what it did."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.screen import coloured, console, local_time, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.explanations import Cause, Explanation

ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="An execution id, or an exported FILE (or FILE#ID).")
]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="A task of the execution.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "explain")(explain)


def explain(target: Target, execution_id: ExecutionId, task_id: TaskId) -> None:
    """Say why a task does not run, what would change that, and when it is expected to; or what it did.

    The first cause comes first; what it really waits for follows, across
    dependencies, sub-workflows and the pool's queue.
    """
    import msgspec

    found = run_loop(_explained(target, execution_id, task_id))
    if target.is_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)


async def _explained(target: Target, wanted: str, task_id: str) -> Explanation:
    from talka_services.cli.records import open_execution
    from talka_services.client.explaining import explained

    async with open_execution(target, wanted) as (records, execution_id):
        now_ms = time.time_ns() // 1_000_000
        is_live = records.is_live
        return await explained(records.histories, execution_id, task_id, now_ms, is_live=is_live)


def _print(found: Explanation) -> None:
    screen = console()
    status = coloured(found.status) if found.status else "no task yet"
    screen.print(f"task {plain(found.task_id)} of {plain(found.execution_id)}  {status}")
    for number, cause in enumerate(found.causes, 1):
        whose = "" if _is_own(found, cause) else f"{plain(_named(found, cause))}: "
        screen.print(f"  {number}. {whose}{plain(cause.sentence)}")
        if cause.since is not None:
            screen.print(f"     since {local_time(cause.since)}")
        if cause.until is not None:
            screen.print(f"     until {local_time(cause.until)}")
        if cause.remedy:
            screen.print(f"     {plain(cause.remedy)}")
    if found.expectation:
        screen.print(f"  {plain(found.expectation)}")


def _is_own(found: Explanation, cause: Cause) -> bool:
    return (cause.execution_id, cause.task_id) == (found.execution_id, found.task_id)


def _named(found: Explanation, cause: Cause) -> str:
    if cause.execution_id == found.execution_id:
        return cause.task_id
    return f"{cause.execution_id}/{cause.task_id}"
