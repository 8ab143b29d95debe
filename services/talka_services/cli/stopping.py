"""When a process that stays is to stop: by a signal, by whoever started it, or because its work failed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Annotated

import typer

from talka_services.cli.outcome import ExitCode, UsageError

UntilInputEnds = Annotated[
    bool,
    typer.Option(
        "--until-input-ends", help="Stop also when standard input ends, as with whoever started it."
    ),
]


def until_told(*, is_until_input_ends: bool = False) -> asyncio.Future[None]:
    """Return what is done as soon as SIGTERM or SIGINT comes; the second one ends the process at once.

    With ``is_until_input_ends`` it is done as well when standard input ends.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if stopped.done():
            os._exit(ExitCode.NOT_SUCCEEDED)
        stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if is_until_input_ends:

        def read() -> None:
            if not os.read(sys.stdin.fileno(), 4_096):
                loop.remove_reader(sys.stdin.fileno())
                if not stopped.done():
                    stopped.set_result(None)

        loop.add_reader(sys.stdin.fileno(), read)
    return stopped


async def first_of(stopped: asyncio.Future[None], failing: Awaitable[None]) -> None:
    """Return when told to stop.

    Raises:
        Exception: what ended the worker before.
    """
    failed = asyncio.ensure_future(failing)
    try:
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
            raise UsageError(
                "The worker has ended by itself: another process uses its --worker-id.",
                hint="Give each worker an id of its own.",
            )
    finally:
        failed.cancel()
