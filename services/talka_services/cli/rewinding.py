"""``talka rollback`` and ``talka restart``: an execution goes back, or runs again."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_protocols.policies import Then
from talka_protocols.states import ExecutionState
from talka_services.cli.command import Target, command
from talka_services.cli.embedding import Flags
from talka_services.cli.outcome import ExitCode
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.screen import console, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.results import ChildPlan, RollbackPlan, WorkflowResult
    from talka_services.client import Orchestrator

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="An execution id.")]
To = Annotated[
    str, typer.Option("--to", metavar="N|TASK", help="The event, or the task whose end, to go back to.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would happen, and do nothing.")]
ThenWhat = Annotated[Then, typer.Option("--then", help="Run again from there, or stop there.")]
Accept = Annotated[
    bool, typer.Option("--accept-irreversible", help="Go back although effects stay that nothing can undo.")
]
From = Annotated[
    str,
    typer.Option(
        "--from", metavar="TASK|N", help="A task, with all behind it, or an event; else what did not succeed."
    ),
]
FromCheckpoint = Annotated[
    int | None,
    typer.Option(
        "--checkpoint",
        metavar="N",
        min=1,
        help="Let the task of --from go on from what it had saved by this event.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", help="Embedded workers.")]
Capacity = Annotated[
    list[str] | None,
    typer.Option("--capacity", metavar="K=V", help="What each embedded worker offers, e.g. cpu_cores=16."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]

Ask = Callable[["Orchestrator"], Awaitable[Any]]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "rollback")(rollback)
    command(app, "restart")(restart)


def rollback(
    target: Target,
    execution_id: ExecutionId,
    to: To,
    dry_run: DryRun = False,
    then: ThenWhat = Then.CONTINUE,
    accept_irreversible: Accept = False,
    workers: Workers = None,
    capacity: Capacity = None,
    detach: Detach = False,
) -> None:
    """Undo what came after an event, in reverse order, and run again from there or stop.

    Tasks are undone by their compensations. --dry-run shows what will happen.
    """
    place = int(to) if to.isdecimal() else to
    if dry_run:
        _show_plan(target, run_loop(_plan(target, execution_id, place)), then)
        return
    is_asking = not accept_irreversible and not target.is_json and sys.stdin.isatty()
    if is_asking and (stands := run_loop(_plan(target, execution_id, place)).irreversible):
        typer.confirm(
            f"What {', '.join(stands)} did stays: nothing can undo it. Go on?", abort=True, err=True
        )
        accept_irreversible = True

    async def ask(orchestrator: Orchestrator) -> None:
        await orchestrator.rollback(execution_id, place, then=then, accept_irreversible=accept_irreversible)

    flags = Flags(workers, parse_amounts(capacity or ()))
    wanted = ExecutionState.ROLLED_BACK if then is Then.STOP else ExecutionState.SUCCEEDED
    _act(target, execution_id, ask, flags, is_detached=detach, wanted=wanted)


def restart(
    target: Target,
    execution_id: ExecutionId,
    start: From = "",
    checkpoint: FromCheckpoint = None,
    workers: Workers = None,
    capacity: Capacity = None,
    detach: Detach = False,
) -> None:
    """Run a task and all behind it again, or all that did not succeed; finished other work is kept.

    What has a compensation is undone before it runs again.
    """
    is_event = start.isdecimal()

    async def ask(orchestrator: Orchestrator) -> None:
        if is_event:
            await orchestrator.restart(execution_id, from_event=int(start), checkpoint=checkpoint or 0)
        else:
            await orchestrator.restart(execution_id, from_task=start, checkpoint=checkpoint or 0)

    _act(target, execution_id, ask, Flags(workers, parse_amounts(capacity or ())), is_detached=detach)


def _act(
    target: Target,
    execution_id: str,
    ask: Ask,
    flags: Flags,
    *,
    is_detached: bool,
    wanted: ExecutionState = ExecutionState.SUCCEEDED,
) -> None:
    """Ask, follow the execution to its end, and leave with the exit code that ``run`` has."""
    from talka_services.cli.report import exit_code, print_summary, result_document

    result = run_loop(_asked(target, execution_id, ask, flags, is_detached=is_detached))
    if target.is_json:
        print_json(result_document(result))
    elif is_detached:
        console().print(f"{execution_id} is {result.status}")
    else:
        print_summary(result, target)
    is_done = is_detached or result.status is wanted
    raise typer.Exit(ExitCode.SUCCEEDED if is_done else exit_code(result.status))


async def _asked(
    target: Target, execution_id: str, ask: Ask, flags: Flags, *, is_detached: bool
) -> WorkflowResult:
    from talka_core.status import result_of
    from talka_services.cli.following import follow_to_end, interrupts
    from talka_services.cli.hosting import platform_for

    with interrupts() as taken:
        async with platform_for(target, flags, is_detached=is_detached) as orchestrator:
            await ask(orchestrator)
            if is_detached:
                return result_of(await orchestrator.histories.execution(execution_id))
            return await follow_to_end(orchestrator, execution_id, taken, is_quiet=target.is_json)


async def _plan(target: Target, wanted: str, to: int | str) -> RollbackPlan:
    from talka_services.cli.records import open_execution
    from talka_services.client.rewinding import plan_rollback, rollback_request

    async with open_execution(target, wanted) as (records, execution_id):
        request = rollback_request(execution_id, to, accepts_irreversible=True)
        return await plan_rollback(records.histories, request)


def _show_plan(target: Target, plan: RollbackPlan, then: Then) -> None:
    import msgspec

    if target.is_json:
        print_json(msgspec.to_builtins(plan))
        return
    console().print(f"back to event {plan.to}")
    _print_plan(plan, then)
    for whose, child in _children(plan, ""):
        if child.plan is None:
            console().print(f"with {whose}, sub-workflow {child.execution_id}: its history is not here")
        else:
            console().print(f"with {whose}, sub-workflow {child.execution_id}, all that it did")
            _print_plan(child.plan, Then.STOP)


def _children(plan: RollbackPlan, within: str) -> Iterator[tuple[str, ChildPlan]]:
    for child in plan.children:
        whose = f"{within}{child.task_id}"
        yield whose, child
        if child.plan is not None:
            yield from _children(child.plan, f"{whose}/")


def _print_plan(plan: RollbackPlan, then: Then) -> None:
    goes_on = then is Then.CONTINUE
    rows = [
        ("cancelled", plan.cancelled),
        ("compensated, in this order", plan.compensated),
        ("kept", plan.kept),
        ("run again" if goes_on else "not done any more, until a restart", plan.again),
        ("of these, paused until they are resumed", plan.paused),
        ("removed from the graph" if goes_on else "not done any more, removed by a restart", plan.removed),
        ("irreversible: needs --accept-irreversible", plan.irreversible),
    ]
    shown = ((what, str(len(tasks)), plain(", ".join(tasks))) for what, tasks in rows if tasks)
    print_table(("what", "tasks", "which"), shown, right=("tasks",))
