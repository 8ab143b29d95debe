"""What tasks started ends with the worker, also when the worker is killed outright."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from talka_services.executors.guardian import Guardian

PidIn = Callable[[Path], int | None]
IsAlive = Callable[[int], bool]

WORKER = """
import asyncio, sys
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task, TaskType
from talka_services.executors.registry import Executors, ExecutorSettings

def attempt(agent_type, type=TaskType.IO, **payload):
    task = Task(id="t", agent_type=agent_type, type=type, payload=payload)
    return Attempt(execution_id="e", task=task, attempt=1, fence=1, worker_id="w")

async def work(place, functions):
    sys.path.insert(0, functions)
    executors = Executors(ExecutorSettings(allow_modules=("*",), allow_commands=("*",), work_dir=place))
    def run(a):
        return executors.for_agent_type(a.task.agent_type).execute(a)
    call = "talka_test_functions:"
    await asyncio.gather(
        run(attempt("command", shell="sleep 600 & echo $! > command; wait")),
        run(attempt("python", call=call + "block", arguments={"path": "shared"})),
        run(attempt("python", TaskType.COMPUTE, call=call + "block", arguments={"path": "compute"})),
    )

asyncio.run(work(*sys.argv[1:]))
"""


async def test_nothing_survives_a_killed_worker(
    tmp_path: Path, functions: Path, eventually: Any, pid_in: PidIn, is_alive: IsAlive
) -> None:
    """After kill -9 of a worker its commands, their children and its Python children end."""
    (tmp_path / "worker.py").write_text(WORKER)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "worker.py"), str(tmp_path), str(functions)
    )
    names = ("command", "shared", "compute")
    await eventually(lambda: all(pid_in(tmp_path / name) for name in names))
    pids = [pid for name in names if (pid := pid_in(tmp_path / name))]
    assert all(map(is_alive, pids))
    worker.kill()
    await worker.wait()
    await eventually(lambda: not any(map(is_alive, pids)), "the end of all that it started")


async def test_a_killed_guardian_is_replaced(eventually: Any, is_alive: IsAlive) -> None:
    """Should somebody kill the guardian, the next one guards what the first one did."""
    guardian = Guardian()
    sleepers = [
        await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True) for _ in range(2)
    ]
    guardian.watch(sleepers[0].pid)
    assert guardian.pid
    os.kill(guardian.pid, signal.SIGKILL)
    killed = guardian.pid
    await eventually(lambda: not is_alive(killed))
    guardian.watch(sleepers[1].pid)
    assert guardian.pid != killed
    guardian.close()
    assert [await sleeper.wait() for sleeper in sleepers] == [-signal.SIGKILL] * 2


async def test_what_was_forgotten_lives_on() -> None:
    """A group taken off the list is not touched."""
    guardian = Guardian()
    sleeper = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    guardian.watch(sleeper.pid)
    guardian.forget(sleeper.pid)
    guardian.close()
    assert sleeper.returncode is None
    sleeper.terminate()
    assert await sleeper.wait() == -signal.SIGTERM
