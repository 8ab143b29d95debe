"""``talka signal`` and ``talka approve``."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, local_time, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.results import TaskResult

ANSWER_S = 5.0

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="An execution id.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that a signal task waits for.")]
Data = Annotated[
    str | None, typer.Option("--data", metavar="JSON|@FILE", help="What the task's result becomes.")
]
SignalId = Annotated[str | None, typer.Option("--id", help="The same id counts only once.")]
TaskId = Annotated[
    str | None, typer.Argument(metavar="[TASK]", help="The task that asks; left out: list them.")
]
Choice = Annotated[str | None, typer.Option("--choice", help="One of the choices; 'approve' if left out.")]
Reject = Annotated[bool, typer.Option("--reject", help="The same as --choice reject.")]
By = Annotated[str | None, typer.Option("--by", help="Who answers; your user name if left out.")]
Comment = Annotated[str, typer.Option("--comment", help="Why; kept with the answer.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "signal")(signal)
    command(app, "approve")(approve)


def signal(
    target: Target, execution_id: ExecutionId, name: Name, data: Data = None, signal_id: SignalId = None
) -> None:
    """Send a signal to an execution: the task that waits for its name ends with the data."""
    value = None if data is None else read_data(data)
    is_new = run_loop(_signal(target, execution_id, name, value, signal_id))
    if target.is_json:
        print_json(
            {"execution_id": execution_id, "name": name, "recorded": is_new is not None, "new": is_new}
        )
    elif is_new is None:
        _say_on_file(execution_id)
    else:
        said = "has the signal" if is_new else "had that signal already"
        console().print(f"{execution_id} {said} {plain(name)}")


async def _signal(
    target: Target, execution_id: str, name: str, value: Any, signal_id: str | None
) -> bool | None:
    """Return whether the signal was new, or None if nobody has recorded it yet."""
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        await orchestrator.get_execution_status(execution_id)
        found: list[bool] = []

        async def send() -> None:
            found.append(await orchestrator.signal(execution_id, name, value, signal_id=signal_id))

        await _answered(send())
        return found[0] if found else None


async def _answered(request: Awaitable[None]) -> bool:
    """Tell whether a scheduler took the request in time; it stays on file if none did."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await request
    except TimeoutError:
        return False
    return True


def _say_on_file(execution_id: str) -> None:
    console().print(f"{execution_id}: the request is on file; no scheduler runs now, so it waits for one")


def read_data(data: str) -> Any:
    """Return what ``--data`` says.

    Raises:
        UsageError: it is no JSON, or its file cannot be read.
    """
    text = data
    if data.startswith("@"):
        try:
            text = Path(data[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The file {data[1:]!r} cannot be read: {error}.") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"--data is no JSON: {error}.", hint="""Write --data '{"paid": true}', or --data '"a text"'."""
        ) from None


def approve(
    target: Target,
    execution_id: ExecutionId,
    task_id: TaskId = None,
    choice: Choice = None,
    reject: Reject = False,
    by: By = None,
    comment: Comment = "",
) -> None:
    """Answer what a task asks; without TASK, list the questions that wait for an answer."""
    if reject and choice is not None:
        raise UsageError("--reject and --choice say two things.", hint="Leave one of them out.")
    if task_id is None:
        if reject or choice is not None:
            raise UsageError("The task is missing.", hint="`talka approve ID` lists those that ask.")
        _list_questions(target, execution_id)
        return
    chosen = "reject" if reject else choice or "approve"
    who = getpass.getuser() if by is None else by
    is_recorded = run_loop(_approve(target, execution_id, task_id, chosen, who, comment))
    if target.is_json:
        document = {"execution_id": execution_id, "task_id": task_id, "choice": chosen, "by": who}
        print_json(document | {"recorded": is_recorded})
    elif is_recorded:
        console().print(f"{execution_id}: {plain(task_id)} is answered {plain(chosen)}")
    else:
        _say_on_file(execution_id)


async def _approve(
    target: Target, execution_id: str, task_id: str, choice: str, by: str, comment: str
) -> bool:
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        await orchestrator.get_execution_status(execution_id)
        return await _answered(orchestrator.approve(execution_id, task_id, choice, by=by, comment=comment))


def _list_questions(target: Target, execution_id: str) -> None:
    questions = run_loop(_questions(target, execution_id))
    if target.is_json:
        print_json({"execution_id": execution_id, "questions": [_question(task) for task in questions]})
        return
    rows = [
        (
            plain(task.task_id),
            plain(task.waiting.data["question"]),
            plain(", ".join(task.waiting.data["choices"])),
            local_time(task.waiting.until),
            plain(", ".join(task.waiting.data["assignees"]) or "-"),
        )
        for task in questions
        if task.waiting is not None
    ]
    print_table(("task", "question", "choices", "until", "for"), rows)


def _question(task: TaskResult) -> dict[str, Any]:
    assert task.waiting is not None, "only what waits asks"
    return {"task_id": task.task_id, "until": task.waiting.until, **task.waiting.data}


async def _questions(target: Target, execution_id: str) -> list[TaskResult]:
    from talka_core.status import result_of
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        tasks = result_of(await orchestrator.histories.execution(execution_id)).tasks.values()
        return [task for task in tasks if task.waiting is not None and task.waiting.kind == "approval"]
