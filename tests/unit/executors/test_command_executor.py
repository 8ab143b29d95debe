"""The command executor: output, failures and cancellation on real programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from talka_core.outputs import OUTPUTS
from talka_protocols.errors import NotAllowedError, TaskCrashedError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.command import CommandExecutor
from talka_services.executors.registry import OUTPUT_BYTES_MAX, ExecutorSettings

Make = Callable[..., Attempt]
PidIn = Callable[[Path], int | None]
IsAlive = Callable[[int], bool]
GIGABYTE = 1_000_000_000

LEAVES_THE_SESSION = """
import os, sys, time
if os.fork():
    time.sleep(600)
os.setsid()
if os.fork():
    os._exit(0)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""

CLEANS_UP = """
import os, signal, sys, time
seen = 0
def on_signal(*_):
    global seen
    seen += 1
signal.signal(signal.SIGTERM, on_signal)
with open("started", "w") as file:
    file.write(f"{os.getpid()}\\n")
while not seen:
    time.sleep(0.01)
time.sleep(0.2)
with open("cleaned", "w") as file:
    file.write(str(seen))
"""


async def test_output_is_returned(command: CommandExecutor, attempt: Make) -> None:
    """Both streams and the exit code come back, in exactly the fields that are declared."""
    result = await command.execute(attempt(shell="echo out; echo err >&2"))
    assert result == {"exit_code": 0, "stdout": "out\n", "stderr": "err\n", "truncated": False}
    assert frozenset(result) == OUTPUTS["command"]


async def test_there_is_no_shell_unless_asked(command: CommandExecutor, attempt: Make) -> None:
    """Arguments are passed as they are; nothing in it is interpreted."""
    result = await command.execute(attempt(argv=["echo", "$HOME; echo", 3, "*"]))
    assert result["stdout"] == "$HOME; echo 3 *\n"


async def test_input_environment_and_directory(
    command: CommandExecutor, attempt: Make, tmp_path: Path
) -> None:
    """stdin, env and cwd reach the program; cwd counts from the work directory."""
    (tmp_path / "below").mkdir()
    result = await command.execute(
        attempt(shell='cat; echo "$GREETING"; pwd', stdin="in\n", env={"GREETING": "hello"}, cwd="below")
    )
    assert result["stdout"].split() == ["in", "hello", str((tmp_path / "below").resolve())]


async def test_input_that_nobody_reads(command: CommandExecutor, attempt: Make) -> None:
    """A program that ignores a large input is no failure."""
    result = await command.execute(attempt(argv=["true"], stdin="x" * 1_000_000))
    assert result["exit_code"] == 0


async def test_the_attempt_is_in_the_environment(command: CommandExecutor, attempt: Make) -> None:
    """A program can read its idempotency key and fence."""
    result = await command.execute(attempt(shell='echo "$TALKA_IDEMPOTENCY_KEY $TALKA_FENCE"'))
    assert result["stdout"] == "e/t 7\n"


async def test_secrets_are_not_passed_on(attempt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that the settings do not name stay with the worker, its own ones always."""
    monkeypatch.setenv("TALKA_SERVER", "nats://secret")
    monkeypatch.setenv("CLOUD_SECRET", "secret")
    for environment, expected in (((), "::"), (("CLOUD_*",), ":secret:"), (("*",), ":secret:")):
        executor = CommandExecutor(ExecutorSettings(allow_commands=("*",), environment=environment))
        result = await executor.execute(
            attempt(argv=["/bin/sh", "-c", 'echo "$TALKA_SERVER:$CLOUD_SECRET:"'])
        )
        assert result["stdout"].strip() == expected
        await executor.close()


async def test_a_gigabyte_of_output_is_bounded(command: CommandExecutor, attempt: Make) -> None:
    """A gigabyte is read to its end, kept bounded, and the loop goes on meanwhile."""
    before = psutil.Process().memory_info().rss
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    result = await command.execute(attempt(argv=["head", "-c", GIGABYTE, "/dev/zero"]))
    ticking.cancel()
    assert result["truncated"]
    assert f"[{GIGABYTE - OUTPUT_BYTES_MAX} bytes dropped]" in result["stdout"]
    assert len(result["stdout"]) < OUTPUT_BYTES_MAX + 100
    assert psutil.Process().memory_info().rss - before < 50_000_000
    assert ticks > 10


async def test_bytes_that_are_no_text(command: CommandExecutor, attempt: Make) -> None:
    """Bytes that are not UTF-8 are replaced, not fatal."""
    result = await command.execute(attempt(shell=r"printf 'a\377b'"))
    assert result["stdout"] == "a\ufffdb"


async def test_a_non_zero_exit_fails(command: CommandExecutor, attempt: Make) -> None:
    """The failure names the exit code and the end of standard error; without check it is a result."""
    with pytest.raises(TaskFailedError, match=r"exit code 4.*ends with: it broke"):
        await command.execute(attempt(shell="echo it broke >&2; exit 4"))
    assert (await command.execute(attempt(shell="exit 4", check=False)))["exit_code"] == 4


async def test_a_signal_is_a_crash(command: CommandExecutor, attempt: Make) -> None:
    """A program that a signal killed has crashed, and the signal is named."""
    with pytest.raises(TaskCrashedError, match="SIGSEGV"):
        await command.execute(attempt(shell="kill -SEGV $$"))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"argv": ["no-such-program"]}, "no program 'no-such-program'"),
        ({"argv": ["./missing"]}, "no program './missing'"),
        ({"argv": ["true"], "cwd": "missing"}, "does not exist"),
        ({"argv": []}, "either `argv` or `shell`"),
        ({"argv": ["true"], "shell": "true"}, "either `argv` or `shell`"),
        ({"argv": ["true"], "colour": "red"}, "colour"),
        ({"argv": ["echo", "a\0b"]}, "could not be started"),
    ],
)
async def test_what_cannot_start_is_explained(
    command: CommandExecutor, attempt: Make, payload: dict[str, Any], text: str
) -> None:
    """A missing program or directory and a wrong payload each fail saying what is wrong."""
    with pytest.raises(TaskFailedError, match=text):
        await command.execute(attempt(**payload))


async def test_a_file_that_is_no_program(command: CommandExecutor, attempt: Make, tmp_path: Path) -> None:
    """A file that may be executed but cannot be is the task's failure."""
    path = tmp_path / "nonsense"
    path.write_bytes(b"\x7fELFnonsense")
    path.chmod(0o755)
    with pytest.raises(TaskFailedError, match="could not be started"):
        await command.execute(attempt(argv=["./nonsense"]))


@pytest.mark.parametrize(
    ("allow", "payload", "is_allowed"),
    [
        ((), {"argv": ["echo"]}, False),
        (("echo",), {"argv": ["echo"]}, True),
        (("echo",), {"argv": ["./echo"]}, False),
        (("echo",), {"argv": ["echo"], "env": {"COLUMNS": "80", "NODE_ENV": "test"}}, True),
        (("/bin/echo",), {"argv": ["/bin/echo"]}, True),
        (("/bin/echo",), {"argv": ["cat"]}, False),
        (("echo",), {"shell": "echo"}, False),
        (("sh",), {"shell": "echo"}, True),
    ],
)
async def test_only_allowed_programs_start(
    attempt: Make,
    tmp_path: Path,
    allow: tuple[str, ...],
    payload: dict[str, Any],
    is_allowed: bool,
) -> None:
    """Names allow what the worker's PATH finds, paths allow that file, and a shell is a program too."""
    (tmp_path / "echo").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "echo").chmod(0o755)
    executor = CommandExecutor(ExecutorSettings(allow_commands=allow, work_dir=str(tmp_path)))
    if is_allowed:
        assert (await executor.execute(attempt(**payload)))["stdout"] == "\n"
    else:
        with pytest.raises(NotAllowedError, match="--allow-command"):
            await executor.execute(attempt(**payload))
    await executor.close()


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A program in the worker's directory, and one of its name elsewhere."""
    for place, says in (("bin", "ours"), ("theirs/bin", "theirs")):
        (tmp_path / place).mkdir(parents=True)
        tool = tmp_path / place / "tool"
        tool.write_text(f"#!/bin/bash\necho {says}\n")
        tool.chmod(0o755)
    return tmp_path


async def test_a_listed_path_is_the_workers(attempt: Make, told: Path) -> None:
    """One without a beginning is taken from the worker's directory, wherever a task wants to run."""
    executor = CommandExecutor(ExecutorSettings(allow_commands=("bin/tool",), work_dir=str(told)))
    assert (await executor.execute(attempt(argv=["bin/tool"])))["stdout"] == "ours\n"
    assert (await executor.execute(attempt(argv=["../bin/tool"], cwd="theirs")))["stdout"] == "ours\n"
    with pytest.raises(NotAllowedError, match="bin/tool"):
        await executor.execute(attempt(argv=["bin/tool"], cwd="theirs"))
    await executor.close()


async def test_a_program_of_many_names_is_allowed_by_one(attempt: Make, told: Path) -> None:
    """What lies in one file is another program under each name, as in BusyBox; directories may be links."""
    (told / "bin/others").symlink_to("tool")
    (told / "linked").symlink_to("bin")
    settings = ExecutorSettings(allow_commands=(str(told / "bin/others"),), work_dir=str(told))
    executor = CommandExecutor(settings)
    assert (await executor.execute(attempt(argv=["linked/others"])))["stdout"] == "ours\n"
    with pytest.raises(NotAllowedError, match="bin/tool"):
        await executor.execute(attempt(argv=["bin/tool"]))
    await executor.close()


CODE = {"BASH_ENV": "$(touch ran)", "BASH_FUNC_echo%%": "() { touch ran; }", "PATH": ".", "LD_PRELOAD": "./x"}


@pytest.mark.parametrize("name", CODE)
async def test_an_allowed_program_runs_no_code_of_the_task(attempt: Make, told: Path, name: str) -> None:
    """A variable by which it would is refused, where not everything is allowed, and nothing is started."""
    payload = {"argv": ["bin/tool"], "env": {name: CODE[name]}}
    executor = CommandExecutor(ExecutorSettings(allow_commands=("bin/tool",), work_dir=str(told)))
    with pytest.raises(NotAllowedError, match=f"bin/tool.*{name}.*--allow-command"):
        await executor.execute(attempt(**payload))
    await executor.close()
    assert not (told / "ran").exists()
    is_open = CommandExecutor(ExecutorSettings(allow_commands=("*",), work_dir=str(told)))
    assert (await is_open.execute(attempt(**payload)))["exit_code"] == 0
    await is_open.close()


async def test_a_background_process_does_not_outlive_its_task(
    command: CommandExecutor, attempt: Make, tmp_path: Path, eventually: Any, pid_in: PidIn, is_alive: IsAlive
) -> None:
    """A process left in the background neither holds the task up nor stays."""
    async with asyncio.timeout(30):
        result = await command.execute(attempt(shell="sleep 600 & echo $! > left; echo done"))
    left = pid_in(tmp_path / "left")
    assert result["stdout"] == "done\n"
    assert left
    await eventually(lambda: not is_alive(left))


async def test_cancelling_asks_first(attempt: Make, tmp_path: Path, eventually: Any, pid_in: PidIn) -> None:
    """A cancelled program gets SIGTERM, once, and the time to clean up before we return."""
    settings = ExecutorSettings(allow_commands=("*",), work_dir=str(tmp_path), stop_grace_s=30)
    executor = CommandExecutor(settings)
    program = tmp_path / "program.py"
    program.write_text(CLEANS_UP)
    task = asyncio.create_task(executor.execute(attempt(argv=[sys.executable, str(program)])))
    await eventually(lambda: pid_in(tmp_path / "started"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "cleaned").read_text() == "1"
    await executor.close()


async def test_cancelling_kills_what_does_not_listen(
    command: CommandExecutor,
    attempt: Make,
    tmp_path: Path,
    eventually: Any,
    pid_in: PidIn,
    is_alive: IsAlive,
) -> None:
    """A program that ignores SIGTERM and its children are gone when the cancellation goes on."""
    line = "trap '' TERM; sleep 600 & echo $! > child; echo $$ > leader; while :; do wait; done"
    task = asyncio.create_task(command.execute(attempt(shell=line)))
    await eventually(lambda: pid_in(tmp_path / "leader"))
    pids = [pid_in(tmp_path / name) for name in ("child", "leader")]
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(is_alive(pid) for pid in pids if pid)


async def test_a_second_cancellation_does_not_wait_for_the_grace(
    attempt: Make, tmp_path: Path, eventually: Any, pid_in: PidIn, is_alive: IsAlive
) -> None:
    """Whoever cancels twice wants the program killed now, however long it may take to end."""
    settings = ExecutorSettings(allow_commands=("*",), work_dir=str(tmp_path), stop_grace_s=600)
    executor = CommandExecutor(settings)
    line = "trap '' TERM; sleep 600 & echo $$ > leader; while :; do wait; done"
    task = asyncio.create_task(executor.execute(attempt(shell=line)))
    await eventually(lambda: pid_in(tmp_path / "leader"))
    leader = pid_in(tmp_path / "leader")
    task.cancel()
    await asyncio.wait([task], timeout=0.3)
    assert not task.done()
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert leader
    assert not is_alive(leader)
    await executor.close()


async def test_cancelling_finds_those_that_left(
    command: CommandExecutor,
    attempt: Make,
    tmp_path: Path,
    eventually: Any,
    pid_in: PidIn,
    is_alive: IsAlive,
) -> None:
    """A grandchild that changed its session and lost its parent is killed too."""
    program = tmp_path / "program.py"
    program.write_text(LEAVES_THE_SESSION)
    task = asyncio.create_task(
        command.execute(attempt(argv=[sys.executable, str(program), str(tmp_path / "strayed")]))
    )
    await eventually(lambda: pid_in(tmp_path / "strayed"))
    pid = pid_in(tmp_path / "strayed")
    assert pid
    assert is_alive(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def test_many_at_once(command: CommandExecutor, attempt: Make) -> None:
    """Fifty programs at once each return their own output."""
    results = await asyncio.gather(*(command.execute(attempt(argv=["echo", n])) for n in range(50)))
    assert [result["stdout"] for result in results] == [f"{n}\n" for n in range(50)]


@pytest.mark.parametrize("turns", range(8))
async def test_cancelling_during_the_start(
    command: CommandExecutor, attempt: Make, tmp_path: Path, turns: int
) -> None:
    """However early the cancellation comes, nothing is left of a program that was just being started."""
    key = f"early-{tmp_path.name}-{turns}"
    task = asyncio.create_task(command.execute(attempt(task_id=key, shell="sleep 600 & wait")))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [process.pid for process in psutil.process_iter() if key in _task_of(process)]


def _task_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("TALKA_TASK_ID", "") if process.status() != "zombie" else ""
    except (psutil.Error, OSError):
        return ""
