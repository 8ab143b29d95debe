"""``talka logs``: what the tasks of an execution have printed, as it comes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.tasklogs import Printed

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="An execution id.")]
TaskId = Annotated[str | None, typer.Argument(metavar="[TASK]", help="Only this task.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution is over.")]
AttemptNumber = Annotated[int | None, typer.Option("--attempt", min=1, help="Only this attempt.")]
ChannelName = Annotated[str | None, typer.Option("--channel", help="Only stdout, stderr, or log.")]
Tail = Annotated[int | None, typer.Option("--tail", min=1, metavar="N", help="Only the last N lines.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "logs")(logs)


def logs(
    target: Target,
    execution_id: ExecutionId,
    task_id: TaskId = None,
    follow: Follow = False,
    attempt: AttemptNumber = None,
    channel: ChannelName = None,
    tail: Tail = None,
) -> None:
    """Print what tasks print and log, line by line; with --json one object a line.

    It is kept for seven days, at most 192 MiB of all executions and 4 MiB of one
    attempt. Channel `log` holds the entries of `context.log`.
    """
    from talka_protocols.tasklogs import Channel

    if channel is not None and channel not in set(Channel):
        raise UsageError(f"There is no channel {channel!r}.", hint=f"Channels: {', '.join(Channel)}.")
    if follow and tail is not None:
        raise UsageError("--tail is for what is there already.", hint="Leave out --follow.")

    def is_wanted(printed: Printed) -> bool:
        return (
            task_id in (None, printed.task_id)
            and attempt in (None, printed.attempt)
            and channel in (None, printed.channel)
        )

    lines = Lines(is_single=task_id is not None, is_json=target.is_json, tail=tail)
    run_loop(_read(target, execution_id, lines, is_wanted, follow=follow))


async def _read(
    target: Target, execution_id: str, lines: Lines, is_wanted: Callable[[Printed], bool], *, follow: bool
) -> None:
    from talka_services.cli.reach import reach_node
    from talka_services.client.histories import Histories
    from talka_services.client.tasklogs import follow_tasklog, read_tasklog

    async with reach_node(target) as node:
        ports = node.ports
        histories = Histories(ports.log, ports.blobs, ports.shards, ports.snapshots)
        # Whoever asks for an execution that there is not is told so.
        await histories.latest(execution_id)
        reading = (
            follow_tasklog(node.connection, histories, execution_id)
            if follow
            else read_tasklog(node.connection, execution_id)
        )
        async with aclosing(reading) as source:
            async for printed in source:
                if is_wanted(printed):
                    lines.take(printed)
    lines.close()


class Lines:
    """Puts text together to lines, each attempt's and channel's by itself, and prints them."""

    def __init__(self, *, is_single: bool, is_json: bool, tail: int | None) -> None:
        self._is_single = is_single
        self._is_json = is_json
        self._tail = tail
        self._begun: dict[tuple[str, int, str], str] = {}
        self._last: dict[tuple[str, int, str], Printed] = {}
        self._kept: list[str] = []

    def take(self, printed: Printed) -> None:
        """Print the lines that are whole now."""
        key = (printed.task_id, printed.attempt, str(printed.channel))
        *whole, self._begun[key] = (self._begun.get(key, "") + printed.text).split("\n")
        self._last[key] = printed
        for line in whole:
            self._print(printed, line)
        if printed.dropped:
            self._print(printed, f"[{printed.dropped:,} more bytes were not kept]")
        if self._tail is None:
            sys.stdout.flush()

    def close(self) -> None:
        """Print what has no end of line, and the last lines where only those are wanted."""
        for key, begun in self._begun.items():
            if begun:
                self._print(self._last[key], begun)
        for line in self._kept:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _print(self, printed: Printed, line: str) -> None:
        shown = self._document(printed, line) if self._is_json else self._shown(printed, line)
        if self._tail is None:
            sys.stdout.write(shown + "\n")
        else:
            self._kept = [*self._kept[1 - self._tail :], shown] if self._tail > 1 else [shown]

    def _document(self, printed: Printed, line: str) -> str:
        import msgspec

        found = {
            "task_id": printed.task_id,
            "attempt": printed.attempt,
            "channel": printed.channel,
            "at": printed.at / 1000,
            "worker": printed.worker_id,
            "line": line,
        }
        return msgspec.json.encode(found).decode()

    def _shown(self, printed: Printed, line: str) -> str:
        line = _plain(line)
        if self._is_single:
            return line
        number = f"#{printed.attempt}" if printed.attempt > 1 else ""
        return f"{_plain(printed.task_id)}{number} | {line}"


def _plain(text: str) -> str:
    """Return text from outside without what would steer the terminal."""
    from rich.control import strip_control_codes

    return strip_control_codes(text.replace("\x1b", ""))
