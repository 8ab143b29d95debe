"""``talka watch``, ``cancel``, ``pause``, ``resume``, ``release`` and ``reprioritize``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from talka_core.limits import SECONDS_MAX
from talka_services.cli.command import Target, command
from talka_services.cli.screen import coloured, console, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from talka_protocols.results import ExecutionStatus, WorkflowResult
    from talka_services.client import Orchestrator

ANSWER_S = 5.0

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="An execution id.")]
TaskId = Annotated[str, typer.Argument(metavar="[TASK]", help="Only this task.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Kept with the execution.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Kill what runs at once, also what an earlier request left running."),
]
OneTask = Annotated[
    str, typer.Option("--task", metavar="TASK", help="Only this task; the others go on.", show_default=False)
]
ParkedId = Annotated[str, typer.Argument(metavar="TASK", help="The parked task.")]
Fail = Annotated[bool, typer.Option("--fail", help="Let it have failed instead.")]
NewStrategy = Annotated[
    str | None, typer.Option("--strategy", help="The order in which what is ready is offered from now on.")
]
Priority = Annotated[
    int | None, typer.Option("--priority", min=0, max=100, help="For all its tasks; higher goes first.")
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        min=0.001,
        max=SECONDS_MAX,
        help="Its time limit from now on; otherwise what was left, or the whole limit once more.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "watch")(watch)
    command(app, "cancel")(cancel)
    command(app, "pause")(pause)
    command(app, "resume")(resume)
    command(app, "release")(release)
    command(app, "reprioritize")(reprioritize)


def watch(target: Target, execution_id: ExecutionId) -> None:
    """Follow an execution to its end; its exit code is that of `run`. Ctrl-C stops watching only."""
    from talka_services.cli.report import exit_code, print_summary, result_document

    result = run_loop(_watch(target, execution_id))
    if target.is_json:
        print_json(result_document(result))
    else:
        print_summary(result, target)
    raise typer.Exit(exit_code(result.status))


async def _watch(target: Target, execution_id: str) -> WorkflowResult:
    from talka_services.cli.following import follow
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        await orchestrator.get_execution_status(execution_id)
        return await follow(orchestrator, execution_id, is_quiet=target.is_json)


def cancel(
    target: Target,
    execution_id: ExecutionId,
    task_id: OneTask = "",
    reason: Reason = "",
    force: Force = False,
) -> None:
    """Ask an execution, or one of its tasks, to stop: what runs is stopped, the rest does not start.

    A task that is cancelled alone counts as failed to those that need it.
    """
    if task_id:
        _cancel_task(target, execution_id, task_id, reason, is_forced=force)
        return
    is_recorded, status = run_loop(_cancel(target, execution_id, reason, is_forced=force))
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


def _cancel_task(target: Target, execution_id: str, task_id: str, reason: str, *, is_forced: bool) -> None:
    async def ask(orchestrator: Orchestrator) -> None:
        await orchestrator.cancel_task(execution_id, task_id, reason=reason, is_forced=is_forced)

    _answer(target, execution_id, task_id, "cancelled", ask, said="being cancelled")


async def _cancel(
    target: Target, execution_id: str, reason: str, *, is_forced: bool
) -> tuple[bool, ExecutionStatus]:
    """Return whether the scheduler has recorded the request, and the status then."""
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        status = await orchestrator.get_execution_status(execution_id)
        if status.is_final:
            return False, status
        try:
            async with asyncio.timeout(ANSWER_S):
                is_recorded = await orchestrator.cancel_execution(execution_id, reason, is_forced=is_forced)
        except TimeoutError:
            is_recorded = False
        return is_recorded, await orchestrator.get_execution_status(execution_id)


def pause(target: Target, execution_id: ExecutionId, task_id: TaskId = "", reason: Reason = "") -> None:
    """Let nothing new start, of an execution or of one task; what runs goes on."""

    async def ask(orchestrator: Orchestrator) -> None:
        await orchestrator.pause(execution_id, task_id, reason=reason)

    _answer(target, execution_id, task_id, "paused", ask)


def resume(target: Target, execution_id: ExecutionId, task_id: TaskId = "", seconds: Seconds = None) -> None:
    """Let the work go on: after a pause, or where the execution's time limit had ended it."""

    async def ask(orchestrator: Orchestrator) -> None:
        await orchestrator.resume(execution_id, task_id, seconds=seconds)

    _answer(target, execution_id, task_id, "resumed", ask)


def release(target: Target, execution_id: ExecutionId, task_id: ParkedId, fail: Fail = False) -> None:
    """Let a parked task run again: too many of its attempts were lost with their workers."""

    async def ask(orchestrator: Orchestrator) -> None:
        await orchestrator.release_task(execution_id, task_id, is_failed=fail)

    _answer(target, execution_id, task_id, "released", ask)


def reprioritize(
    target: Target, execution_id: ExecutionId, strategy: NewStrategy = None, priority: Priority = None
) -> None:
    """Change the order of what has not started: by another strategy, or by a priority for all its tasks.

    What waits in the pool is asked for anew, at its new rank; what runs goes on.
    """
    from talka_services.cli.loading import known_strategy
    from talka_services.cli.outcome import UsageError

    if strategy is None and priority is None:
        raise UsageError("Nothing is to change.", hint="Give --strategy, --priority, or both.")
    chosen = "" if strategy is None else known_strategy(strategy)

    async def ask(orchestrator: Orchestrator) -> None:
        await orchestrator.reprioritize(execution_id, strategy=chosen, priority=priority)

    _answer(target, execution_id, "", "reprioritized", ask)


def _answer(
    target: Target,
    execution_id: str,
    task_id: str,
    done: str,
    ask: Callable[[Orchestrator], Awaitable[None]],
    said: str = "",
) -> None:
    """Say what became of a request: recorded, or on file until a scheduler runs."""
    is_recorded, status = run_loop(_ask(target, execution_id, ask))
    if target.is_json:
        task = {"task_id": task_id} if task_id else {}
        document = {"execution_id": execution_id, **task, done: is_recorded, "status": status.status.value}
        print_json(document)
    elif is_recorded:
        what = f"task {plain(task_id)} of {execution_id}" if task_id else execution_id
        console().print(f"{what} is {said or done}")
    else:
        console().print(f"{execution_id}: the request is on file; no scheduler runs now, so it waits for one")


async def _ask(
    target: Target, execution_id: str, ask: Callable[[Orchestrator], Awaitable[None]]
) -> tuple[bool, ExecutionStatus]:
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        is_recorded = True
        try:
            async with asyncio.timeout(ANSWER_S):
                await ask(orchestrator)
        except TimeoutError:
            is_recorded = False
        return is_recorded, await orchestrator.get_execution_status(execution_id)
