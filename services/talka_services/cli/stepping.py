"""Time travel: an execution's events with what each of them changed, as a list or one after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from talka_services.cli.command import Target
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, plain, print_json

if TYPE_CHECKING:
    from talka_core.steps import Step

PROMPT = "Enter or n: next, p: previous, a number: that event, q: quit > "


async def read_steps(target: Target, wanted: str) -> list[Step]:
    """Return all steps of an execution, live or exported.

    Raises:
        UnknownExecutionError: there is no such execution.
        BrokenHistoryError: its log cannot be folded.
    """
    from talka_core.steps import steps
    from talka_protocols.errors import UnknownExecutionError
    from talka_services.cli.records import open_execution

    async with open_execution(target, wanted) as (records, execution_id):
        histories = records.histories
        commits = [commit for _, commit in await histories.commits(histories.name(execution_id))]
    if not commits:
        raise UnknownExecutionError(execution_id)
    return list(steps(execution_id, commits))


def show_span(target: Target, found: Sequence[Step], first: int | None, last: int | None) -> None:
    """Print the events from ``first`` to ``last``, both included.

    Raises:
        UsageError: there are no such events.
    """
    begin, end = first or 1, last or len(found)
    if not begin <= end <= len(found):
        raise UsageError(
            f"There are no events from {begin} to {end}: the log ends at {len(found)}.",
            hint="Give --from and --to within it.",
        )
    for step in found[begin - 1 : end]:
        if target.is_json:
            print_json(step_document(step))
        else:
            _print(step)


def walk(found: Sequence[Step], first: int | None) -> None:
    """Show one event after the other, as the person at the terminal asks.

    Raises:
        UsageError: nobody is there, or there is no such event.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            "--step asks a person what to show next, and standard input is no terminal.",
            hint="Give --from and --to instead.",
        )
    here = first or 1
    if here > len(found):
        raise UsageError(f"There is no event {here}: the log ends at {len(found)}.")
    while True:
        _print(found[here - 1])
        try:
            asked = input(PROMPT)
        except EOFError:
            return
        if asked.strip() == "q":
            return
        here = moved(asked, here, len(found))


def moved(asked: str, here: int, last: int) -> int:
    """Return the event to show next; what makes no sense stays where it is."""
    match asked.strip():
        case "" | "n":
            return min(here + 1, last)
        case "p":
            return max(here - 1, 1)
        case number if number.isdecimal() and 1 <= int(number) <= last:
            return int(number)
        case _:
            return here


def step_document(step: Step) -> dict[str, Any]:
    """Return a step as the object that ``--json`` prints; see docs/cli.md."""
    kind = type(step.event).__name__
    document: dict[str, Any] = {"version": step.version, "at": step.at / 1000, "type": kind}
    if task_id := getattr(step.event, "task_id", ""):
        document["task_id"] = task_id
    if step.execution is not None:
        document["execution"] = list(step.execution)
    return document | {"tasks": {task_id: list(change) for task_id, change in step.tasks.items()}}


def _print(step: Step) -> None:
    kind, task_id = type(step.event).__name__, getattr(step.event, "task_id", "")
    console().print(f"[bold]{step.version:>6}[/bold]  {kind}  {plain(task_id)}".rstrip())
    for line in _changes(step):
        console().print(f"        {line}")


def _changes(step: Step) -> Iterator[str]:
    if step.execution is not None:
        before, after = step.execution
        yield f"execution: {before or '-'} -> {after}"
    for task_id, (before, after) in step.tasks.items():
        yield f"{plain(task_id)}: {before or '-'} -> {after or '-'}"
