"""What executors see of what attempts use, and the end of those that hold too much memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from talka_protocols.errors import MemoryExceededError
from talka_protocols.ports import Attempt
from talka_protocols.workflow import ResourceRequirements, TaskType
from talka_services.executors.command import CommandExecutor
from talka_services.executors.python import PythonExecutor
from talka_services.service.metering import AttemptMeter

Make = Callable[..., Attempt]
HOLDS = "import sys, time; held = b'x' * (int(sys.argv[1]) << 20); time.sleep(float(sys.argv[2]))"
SPINS = "import time; end = time.process_time() + 0.6\nwhile time.process_time() < end: pass\ntime.sleep(0.3)"


def metered(attempt: Attempt, memory_mb: float = 0.0) -> tuple[Attempt, AttemptMeter]:
    """Return the attempt with a meter, and a limit."""
    meter = AttemptMeter()
    task = replace(attempt.task, resources=ResourceRequirements(memory_mb=memory_mb))
    return replace(attempt, task=task, meter=meter), meter


def seen(meter: AttemptMeter) -> tuple[int, float]:
    """Return processor time in milliseconds and memory in MiB, 0 for what was not seen."""
    usage = meter.usage(1_000)
    return (0, 0.0) if usage is None else (usage.cpu_ms or 0, usage.memory_mb or 0.0)


async def test_a_command_is_measured_with_what_it_starts(command: CommandExecutor, attempt: Make) -> None:
    """Processor time and memory of its children are its own."""
    script = f"{sys.executable} -c \"{HOLDS}\" 120 1 & {sys.executable} -c '{SPINS}'; wait"
    measured, meter = metered(attempt(shell=script))
    await command.execute(measured)
    cpu_ms, memory_mb = seen(meter)
    assert cpu_ms >= 500
    assert 120 < memory_mb < 400


async def test_a_command_that_holds_too_much_memory_is_stopped(
    command: CommandExecutor, attempt: Make, tmp_path: Path, is_alive: Callable[[int], bool]
) -> None:
    """It fails with a code of its own, and nothing that it started is left."""
    script = f'{sys.executable} -c "{HOLDS}" 200 600 & echo $! > pid; wait'
    measured, meter = metered(attempt(shell=script), memory_mb=100)
    with pytest.raises(MemoryExceededError, match="more than the 100 that it asks for") as caught:
        await command.execute(measured)
    assert caught.value.code == "memory_exceeded"
    assert seen(meter)[1] > 100
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_memory_that_processes_share_counts_once(command: CommandExecutor, attempt: Make) -> None:
    """A program that forks is not stopped for what its children only look at."""
    program = (
        "import os, time\nheld = b'x' * (80 << 20)\n"
        "for _ in range(3):\n    if os.fork() == 0:\n        break\ntime.sleep(0.6)"
    )
    measured, _ = metered(attempt(argv=[sys.executable, "-c", program]), memory_mb=200)
    assert (await command.execute(measured))["exit_code"] == 0


@pytest.mark.parametrize("type_", [TaskType.COMPUTE, TaskType.IO])
async def test_a_python_task_is_measured(python: PythonExecutor, call: Make, type_: TaskType) -> None:
    """Its processor time is exact; its memory is what its process held while it was alone there."""
    measured, meter = metered(call("hold", type_, megabytes=150, seconds=0.5))
    await python.execute(measured)
    cpu_ms, memory_mb = seen(meter)
    assert cpu_ms > 0
    assert memory_mb > 150


@pytest.mark.parametrize("type_", [TaskType.COMPUTE, TaskType.IO])
async def test_a_python_task_that_holds_too_much_memory_is_stopped(
    python: PythonExecutor, call: Make, type_: TaskType
) -> None:
    """Its process is killed, it alone fails, and the next task runs."""
    measured, _ = metered(call("hold", type_, megabytes=300, seconds=60), memory_mb=200)
    with pytest.raises(MemoryExceededError):
        await python.execute(measured)
    assert await python.execute(call("add", type_, a=1, b=2)) == 3


async def test_the_one_of_many_that_holds_too_much_is_found(python: PythonExecutor, call: Make) -> None:
    """Tasks that share a process are run again alone; only the hog fails."""
    innocent = [metered(call("hold", megabytes=1, seconds=0.6), memory_mb=120)[0] for _ in range(2)]
    hog, _ = metered(call("hold", megabytes=500, seconds=60), memory_mb=120)
    ends = await asyncio.gather(*map(python.execute, [*innocent, hog]), return_exceptions=True)
    assert ends[:2] == [1, 1]
    assert isinstance(ends[2], MemoryExceededError)


async def test_what_an_earlier_task_left_is_no_fault(python: PythonExecutor, call: Make) -> None:
    """A process that kept the memory of an earlier task is ended, and the task in it runs again."""
    await python.execute(call("leak", megabytes=300))
    measured, _ = metered(call("hold", megabytes=1, seconds=0.5), memory_mb=150)
    assert await python.execute(measured) == 1


async def test_a_stop_meets_a_task_that_is_being_stopped_for_its_memory(
    python: PythonExecutor, call: Make, eventually: Callable[..., Any]
) -> None:
    """A cancellation in the middle of that ends the task as well."""
    measured, meter = metered(call("hold", megabytes=300, seconds=60), memory_mb=150)
    running = asyncio.create_task(python.execute(measured))
    await eventually(lambda: seen(meter)[1] > 150)
    running.cancel()
    with pytest.raises((asyncio.CancelledError, MemoryExceededError)):
        await running
