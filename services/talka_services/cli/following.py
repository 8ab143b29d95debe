"""Following an execution to its end: live progress, and what Ctrl-C does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from talka_core.status import result_of, status_of
from talka_protocols.results import ExecutionStatus, WorkflowResult
from talka_services.cli.outcome import ExitCode
from talka_services.cli.screen import console, plain

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_services.client import Orchestrator

SHOW_S = 0.1
NAMES_SHOWN = 4
SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """Remembers what the signals asked for: first cancel, then leave at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.is_leaving = False

    def interrupt(self) -> None:
        """Cancel the execution; asked a second time, exit at once and leave it to be continued."""
        if self.asked.is_set():
            if sys.stderr.isatty():
                sys.stderr.write(SHOW_CURSOR)
                sys.stderr.flush()
            os._exit(ExitCode.NOT_SUCCEEDED)
        self.asked.set()

    def leave(self) -> None:
        """Stop in good order, and leave the execution to be continued."""
        self.is_leaving = True
        self.asked.set()


@contextmanager
def interrupts() -> Generator[Interrupts]:
    """Take SIGINT and SIGTERM over for as long as the context lasts."""
    taken = Interrupts()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, taken.interrupt)
    loop.add_signal_handler(signal.SIGTERM, taken.leave)
    try:
        yield taken
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)


async def follow_to_end(
    orchestrator: Orchestrator, execution_id: str, taken: Interrupts, *, is_quiet: bool
) -> WorkflowResult:
    """Return the result when the execution is over, or how far it has come when told to leave."""
    following = asyncio.create_task(follow(orchestrator, execution_id, is_quiet=is_quiet))
    asking = asyncio.create_task(taken.asked.wait())
    try:
        await asyncio.wait((following, asking), return_when=asyncio.FIRST_COMPLETED)
        if not following.done() and taken.is_leaving:
            return result_of(await orchestrator.histories.execution(execution_id))
        if not following.done():
            if not is_quiet:
                console(is_error=True).print("cancelling; Ctrl-C again leaves it to be continued")
            await orchestrator.cancel_execution(execution_id, "Interrupted by Ctrl-C.")
        return await following
    finally:
        for task in (following, asking):
            task.cancel()
        await asyncio.wait((following, asking))


async def follow(orchestrator: Orchestrator, execution_id: str, *, is_quiet: bool) -> WorkflowResult:
    """Show how an execution goes and return its result when it is over."""
    state: ExecutionRecord | None = None
    with progress(is_shown=not is_quiet) as show:
        async with aclosing(orchestrator.histories.follow(execution_id)) as states:
            showing: asyncio.Task[None] | None = None
            try:
                # Each state is the same object, folded further, so it is enough to look at it now and then.
                async for state in states:
                    if showing is None and not is_quiet:
                        showing = asyncio.create_task(_show(state, show), name="progress")
            finally:
                if showing is not None:
                    showing.cancel()
                    await asyncio.wait([showing])
    assert state is not None, "following ends only with the execution"
    return result_of(state)


async def _show(state: ExecutionRecord, show: Callable[[ExecutionStatus], None]) -> None:
    """Show the state again whenever it has changed, ten times a second at the most."""
    shown = 0
    while True:
        if state.version != shown:
            shown = state.version
            show(status_of(state))
        await asyncio.sleep(SHOW_S)


@contextmanager
def progress(*, is_shown: bool) -> Generator[Callable[[ExecutionStatus], None]]:
    """Show a bar, what runs and the time that has passed; yields what takes each status."""
    screen = console(is_error=True)
    if not is_shown or not screen.is_terminal:
        yield _show_nothing
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[running]}"),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        line = bar.add_task("starting", total=None, running="")

        def show(status: ExecutionStatus) -> None:
            bar.update(
                line,
                description=plain(status.name),
                total=status.total or None,
                completed=status.done,
                running=_running(status),
            )

        yield show


def _show_nothing(_status: ExecutionStatus) -> None:
    """Stand in where nobody watches."""


def _running(status: ExecutionStatus) -> str:
    return "  ".join(filter(None, (_named("running", status.running), _named("waiting", status.waiting))))


def _named(what: str, task_ids: Sequence[str]) -> str:
    if not task_ids:
        return ""
    names = ", ".join(plain(name) for name in task_ids[:NAMES_SHOWN])
    more = len(task_ids) - NAMES_SHOWN
    return f"{what} {names}" + (f" and {more} more" if more > 0 else "")
