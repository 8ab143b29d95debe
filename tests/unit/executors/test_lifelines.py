"""Whatever runs for a task holds the lifelines of its worker, so that their ends say that nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from talka_protocols.ports import Attempt
from talka_services.executors import lifelines
from talka_services.executors.command import CommandExecutor
from talka_services.executors.guardian import Guardian
from talka_services.executors.python import PythonExecutor

MakeAttempt = Callable[..., Attempt]
HERE = b"here"


@pytest.fixture
def lifeline() -> Iterator[tuple[int, int]]:
    """Both ends of a lifeline; against the rule something is written to it, which only a holder can."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    lifelines.hold(writer)
    yield reader, writer
    lifelines.let_go(writer)
    os.close(reader)


async def test_commands_hold_it(
    lifeline: tuple[int, int], command: CommandExecutor, attempt: MakeAttempt
) -> None:
    """A command, and what it starts, has the lifeline open."""
    reader, writer = lifeline
    await command.execute(attempt(shell=f"sh -c 'printf here > /proc/self/fd/{writer}'"))
    assert os.read(reader, 10) == HERE
    os.close(writer)


async def test_python_children_hold_it(
    lifeline: tuple[int, int], python: PythonExecutor, call: MakeAttempt
) -> None:
    """A child process that runs Python tasks has the lifeline open."""
    reader, writer = lifeline
    await python.execute(call("write_to", number=writer))
    assert os.read(reader, 10) == HERE
    os.close(writer)


def test_guardians_hold_it(lifeline: tuple[int, int]) -> None:
    """A lifeline does not end before the guardian has ended what it guards."""
    reader, writer = lifeline
    guardian = Guardian()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    guardian.watch(sleeper.pid)
    os.close(writer)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    guardian.close()
    sleeper.wait()
    assert os.read(reader, 1) == b""
