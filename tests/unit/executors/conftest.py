"""What the executors' tests share: attempts, settings, and a module of functions that tasks call."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task, TaskType
from talka_services.executors.command import CommandExecutor
from talka_services.executors.python import PythonExecutor
from talka_services.executors.registry import ExecutorSettings

MODULE = "talka_test_functions"
SOURCE = """
import asyncio, dataclasses, os, pathlib, signal, subprocess, sys, time
from os import system
from subprocess import Popen

@dataclasses.dataclass
class Point:
    x: int

def grow(kind):
    from talka import Dependency, Extended, Task

    if kind == "nonsense":
        return Extended(1, ["not a task"])
    if kind == "unencodable":
        return Extended(1, [Task("a", "sleep", payload={"x": object()})])
    if kind == "large":
        return Extended(1, [Task("a", "sleep", payload={"x": "y" * 300_000})])
    return Extended({"n": 1}, [Task("a", "sleep"), Task("b", "sleep")], [Dependency("a", "b")])

def add(a, b):
    return a + b

def pid():
    return os.getpid()

async def pid_async():
    return os.getpid()

def point():
    return Point(3)

def fail(text):
    raise ValueError(text)

def leave():
    sys.exit(3)

async def leave_async():
    sys.exit(3)

def unencodable():
    return object()

def exit_with(code):
    os._exit(code)

def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)

def segfault():
    import ctypes
    ctypes.string_at(0)

def mark(path):
    with open(path, "a") as file:
        file.write(str(os.getpid()) + "\\n")

def mark_and_exit_when(path, needed):
    mark(path)
    while not pathlib.Path(needed).exists():
        time.sleep(0.01)
    os._exit(9)

def mark_and_wait_for(path, needed):
    mark(path)
    while not pathlib.Path(needed).exists():
        time.sleep(0.01)
    return "innocent"

async def mark_and_wait(path):
    mark(path)
    await asyncio.sleep(600)

async def clean_up(path, cleaned):
    mark(path)
    try:
        await asyncio.sleep(600)
    finally:
        mark(cleaned)

async def stubborn(path):
    mark(path)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

def block(path):
    mark(path)
    time.sleep(600)

def with_grandchild(path):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    pathlib.Path(path).write_text(str(child.pid) + "\\n")
    time.sleep(600)

def chatter():
    print("x" * 1_000_000)
    sys.stdout.write("y" * 1_000_000)
    os.write(1, b"z" * 1_000_000)
    os.write(2, b"z" * 1_000_000)
    return "quiet"

def told(context):
    return [context.execution_id, context.task_id, context.attempt, context.fence,
            context.idempotency_key, context.worker_id]

async def told_async(context):
    return told(context)

def own_context(context=None):
    return context

async def cancel_itself():
    raise asyncio.CancelledError

async def odd_async():
    return object()

def say(text):
    print(text, flush=True)

LEFT = []
TABLE = {}

def hold(megabytes, seconds):
    held = b"x" * (megabytes << 20)
    time.sleep(seconds)
    return 1

def leak(megabytes):
    LEFT.append(b"x" * (megabytes << 20))

def write_to(number):
    os.write(number, b"here")

def large(n):
    return "x" * n

class Steps:
    @staticmethod
    def double(n):
        return 2 * n
"""


@pytest.fixture(autouse=True, scope="session")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the module that the tests' tasks call."""
    place = tmp_path_factory.mktemp("functions")
    (place / f"{MODULE}.py").write_text(SOURCE)
    return place


@pytest.fixture(autouse=True)
def importable(functions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the module where children look for it."""
    monkeypatch.syspath_prepend(str(functions))  # pyright: ignore[reportUnknownMemberType]


MakeAttempt = Callable[..., Attempt]


@pytest.fixture
def attempt() -> MakeAttempt:
    """Build an attempt from a payload."""

    def make(type: TaskType = TaskType.IO, /, task_id: str = "t", **payload: Any) -> Attempt:  # noqa: A002
        task = Task(id=task_id, agent_type="any", type=type, payload=payload)
        return Attempt(execution_id="e", task=task, attempt=1, fence=7, worker_id="w")

    return make


@pytest.fixture
def call() -> MakeAttempt:
    """Build an attempt that calls a function of the tests' module."""

    def make(name: str, type: TaskType = TaskType.IO, /, **arguments: Any) -> Attempt:  # noqa: A002
        payload = {"call": f"{MODULE}:{name}", "arguments": arguments}
        task = Task(id=name, agent_type="python", type=type, payload=payload)
        return Attempt(execution_id="e", task=task, attempt=2, fence=7, worker_id="w")

    return make


@pytest.fixture
async def python() -> AsyncIterator[PythonExecutor]:
    """Offer Python tasks with one process, so that all of them share it."""
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=1, stop_grace_s=0.5))
    yield executor
    await executor.close()


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[CommandExecutor]:
    """Offer all commands, started in a directory of the test's own."""
    settings = ExecutorSettings(allow_commands=("*",), work_dir=str(tmp_path), stop_grace_s=0.5)
    executor = CommandExecutor(settings)
    yield executor
    await executor.close()


Eventually = Callable[..., Any]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something becomes true, for a generous while."""

    async def wait(is_true: Callable[[], Any], what: str = "it", seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < end, f"{what} did not come true"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def pid_in() -> Callable[[Path], int | None]:
    """Read the last process id that a task wrote, once its line is whole."""

    def read(path: Path) -> int | None:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return int(lines[-1]) if lines and lines[-1].endswith("\n") else None

    return read


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Tell whether a process still runs; a zombie does not."""

    def look(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state != "Z" and os.path.exists(f"/proc/{pid}")

    return look
