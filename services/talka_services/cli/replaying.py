"""``talka replay``: the state at any event, and a check of the whole history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import ExitCode, UsageError
from talka_services.cli.queries import ExecutionId
from talka_services.cli.screen import coloured, console, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_services.client.verifying import Verdict

At = Annotated[int | None, typer.Option("--at", min=1, metavar="N", help="The state after event N.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Check the whole history; exit code 1 if it is broken.")
]

First = Annotated[
    int | None, typer.Option("--from", min=1, metavar="A", help="List what events changed, from A on.")
]
Last = Annotated[int | None, typer.Option("--to", min=1, metavar="B", help="List what events changed, to B.")]
Stepwise = Annotated[bool, typer.Option("--step", help="Go through the events one by one, back and forth.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "replay")(replay)


def replay(
    target: Target,
    execution_id: ExecutionId,
    at: At = None,
    verify: Verify = False,
    first: First = None,
    last: Last = None,
    step: Stepwise = False,
) -> None:
    """Fold an execution's log to any event and show the state there, or what each event changed."""
    if step or first or last:
        _travel(target, execution_id, first, last, is_stepping=step, is_other=verify or at is not None)
        return
    state, verdict = run_loop(_replay(target, execution_id, at, is_verifying=verify))
    if target.is_json:
        print_json(_replay_document(state, verdict))
    else:
        _print_replay(state, verdict)
    if verdict is not None and verdict.violations:
        raise typer.Exit(ExitCode.NOT_SUCCEEDED)


def _travel(
    target: Target, wanted: str, first: int | None, last: int | None, *, is_stepping: bool, is_other: bool
) -> None:
    from talka_services.cli.stepping import read_steps, show_span, walk

    if is_other or (is_stepping and (last or target.is_json)):
        raise UsageError(
            "These flags do not go together.",
            hint="Give --from and --to, or --step (with --from), or --at and --verify.",
        )
    found = run_loop(read_steps(target, wanted))
    if is_stepping:
        walk(found, first)
    else:
        show_span(target, found, first, last)


async def _replay(
    target: Target, wanted: str, at: int | None, *, is_verifying: bool
) -> tuple[ExecutionRecord | None, Verdict | None]:
    from talka_protocols.errors import BrokenHistoryError
    from talka_services.cli.records import open_execution
    from talka_services.client.verifying import verify_execution

    async with open_execution(target, wanted) as (records, execution_id):
        verdict = await verify_execution(records, execution_id) if is_verifying else None
        try:
            state = await records.histories.execution(execution_id, at)
        except BrokenHistoryError:
            if verdict is None:
                raise
            # The verdict tells what is broken, which is what was asked for.
            return None, verdict
        if at is not None and at > state.version:
            raise UsageError(
                f"There is no event {at}: the log of {execution_id!r} ends at {state.version}.",
                hint="Give a smaller --at.",
            )
        return state, verdict


def _replay_document(state: ExecutionRecord | None, verdict: Verdict | None) -> dict[str, Any]:
    from talka_core.status import result_of, status_of
    from talka_services.cli.queries import status_document
    from talka_services.cli.report import task_document

    document: dict[str, Any] = {}
    if state is not None:
        result = result_of(state)
        document = status_document(status_of(state)) | {
            "tasks": {task_id: task_document(task) for task_id, task in result.tasks.items()},
            "allocations": allocations(state),
        }
    if verdict is not None:
        document |= {
            "verified": not verdict.violations,
            "violations": list(verdict.violations),
            "checks": verdict.checks,
        }
    return document


def allocations(state: ExecutionRecord) -> list[dict[str, Any]]:
    """Return what the execution holds of the pool, and what it is giving back."""
    from talka_protocols.states import TaskStatus

    holding = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)
    held = [
        {
            "allocation_id": task.allocation_id,
            "task_id": task_id,
            "worker": task.worker_id,
            "fence": task.fence,
            "is_returning": False,
        }
        for task_id, task in state.tasks.items()
        if task.status in holding and task.allocation_id
    ]
    returning = [
        {
            "allocation_id": allocation_id,
            "task_id": item.holder.task_id,
            "worker": None,
            "fence": item.fence,
            "is_returning": True,
        }
        for allocation_id, item in state.returning.items()
    ]
    return held + returning


def _print_replay(state: ExecutionRecord | None, verdict: Verdict | None) -> None:
    from talka_core.status import status_of

    if state is not None:
        status = status_of(state)
        console().print(
            f"{plain(status.name)}  {coloured(status.status.value)}  at event {status.version}"
            f"  {status.done}/{status.total} tasks"
        )
        rows = (
            (
                plain(task_id),
                coloured(task.status.value),
                str(task.attempt),
                plain(task.worker_id or "-"),
                plain(task.allocation_id or "-"),
            )
            for task_id, task in state.tasks.items()
        )
        print_table(("task", "status", "attempt", "worker", "allocation"), rows, right=("attempt",))
        held = allocations(state)
        giving = sum(item["is_returning"] for item in held)
        console().print(f"  allocations: {len(held) - giving} held, {giving} on their way back")
    if verdict is not None:
        for sentence in verdict.violations:
            console().print(f"[red]violation[/red] {plain(sentence)}")
        if not verdict.violations:
            console().print(f"[green]verified[/green] {plain(verdict.checks)}")
