"""The Python executor: results, failures, crashes and cancellation on real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from talka_protocols.errors import PlatformError, TaskCrashedError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_protocols.workflow import TaskType
from talka_services.executors import child
from talka_services.executors.python import PythonExecutor
from talka_services.executors.registry import ExecutorSettings

MODULE = "talka_test_functions"
Make = Callable[..., Attempt]
PidIn = Callable[[Path], int | None]
IsAlive = Callable[[int], bool]


async def test_plain_and_async_functions_return(python: PythonExecutor, call: Make) -> None:
    """Both kinds of function run in the shared child and return plain data."""
    assert await python.execute(call("add", a=1, b=2)) == 3
    assert await python.execute(call("point")) == {"x": 3}
    assert await python.execute(call("pid")) == await python.execute(call("pid_async"))
    assert await python.execute(call("Steps.double", n=4)) == 8


async def test_a_thousand_tasks_share_a_child(python: PythonExecutor, call: Make) -> None:
    """A thousand no-op tasks at once all run in the one child process."""
    results = await asyncio.gather(*(python.execute(call("pid")) for _ in range(1000)))
    assert set(results) == set(python.child_ids)
    assert len(python.child_ids) == 1


async def test_compute_has_a_child_to_itself(python: PythonExecutor, call: Make) -> None:
    """COMPUTE tasks run in another child than the others, and that child is used again."""
    shared = await python.execute(call("pid"))
    own = [await python.execute(call("pid", TaskType.COMPUTE)) for _ in range(3)]
    assert len(set(own)) == 1
    assert shared not in own


async def test_compute_runs_in_as_many_processes_as_set(call: Make, tmp_path: Path, eventually: Any) -> None:
    """With two processes two COMPUTE tasks run at once, and the third waits for one of them."""
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=2))
    marks, goes = tmp_path / "marks", tmp_path / "go"
    tasks = [
        asyncio.create_task(
            executor.execute(call("mark_and_wait_for", TaskType.COMPUTE, path=str(marks), needed=str(goes)))
        )
        for _ in range(3)
    ]
    await eventually(lambda: marks.exists() and len(marks.read_text().split()) == 2)
    assert len(executor.child_ids) == 2
    goes.touch()
    assert await asyncio.gather(*tasks) == ["innocent"] * 3
    await executor.close()


@pytest.mark.parametrize("name", ["told", "told_async"])
async def test_context_is_passed(python: PythonExecutor, call: Make, name: str) -> None:
    """A function with a parameter named context learns which attempt it is."""
    assert await python.execute(call(name)) == ["e", name, 2, 7, f"e/{name}", "w"]


async def test_a_context_argument_wins(python: PythonExecutor, call: Make) -> None:
    """An argument that is itself named context is passed instead."""
    assert await python.execute(call("own_context", context="mine")) == "mine"


async def test_an_exception_is_described(python: PythonExecutor, call: Make) -> None:
    """The failure begins with type and message and shows the user's frames, not ours."""
    with pytest.raises(TaskFailedError) as caught:
        await python.execute(call("fail", text="bad input"))
    assert caught.value.message.startswith("ValueError: bad input\n")
    assert "in fail" in caught.value.message
    assert "child_program" not in caught.value.message


async def test_a_long_message_is_bounded(python: PythonExecutor, call: Make) -> None:
    """An exception with a megabyte of text does not become a megabyte of history."""
    with pytest.raises(TaskFailedError) as caught:
        await python.execute(call("fail", text="x" * 1_000_000))
    assert len(caught.value.message) < 10_000


@pytest.mark.parametrize("name", ["leave", "leave_async"])
async def test_sys_exit_is_a_failure(python: PythonExecutor, call: Make, name: str) -> None:
    """sys.exit fails its task and leaves the child alive."""
    pid = await python.execute(call("pid"))
    with pytest.raises(TaskFailedError, match="SystemExit: 3"):
        await python.execute(call(name))
    assert await python.execute(call("pid")) == pid


async def test_an_unencodable_result_is_named(python: PythonExecutor, call: Make) -> None:
    """A result that JSON cannot express fails the task and names the type."""
    with pytest.raises(TaskFailedError, match=r"'object'.*cannot be recorded"):
        await python.execute(call("unencodable"))


async def test_unencodable_arguments_are_refused(python: PythonExecutor, call: Make) -> None:
    """Arguments that cannot travel fail their own task only."""
    good = asyncio.create_task(python.execute(call("add", a=1, b=1)))
    with pytest.raises(TaskFailedError, match="arguments"):
        await python.execute(call("add", a=object(), b=1))
    assert await good == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such", "has no 'no_such'"),
        ("ad", "Did you mean 'add'"),
        ("add", "TypeError"),
        ("MODULE_IS_NOT", "has no"),
    ],
)
async def test_wrong_names_are_explained(python: PythonExecutor, call: Make, name: str, text: str) -> None:
    """A missing function, a misspelt one and wrong arguments say what is wrong."""
    with pytest.raises(TaskFailedError, match=text):
        await python.execute(call(name))


@pytest.mark.parametrize(
    "payload",
    [{}, {"call": "nonsense"}, {"call": 3}, {"call": f"{MODULE}:pid", "args": [1]}],
    ids=["no call", "no function", "not a text", "unknown key"],
)
async def test_a_wrong_payload_is_explained(
    python: PythonExecutor, attempt: Make, payload: dict[str, Any]
) -> None:
    """A payload of another form fails and says what it should be."""
    with pytest.raises(TaskFailedError):
        await python.execute(attempt(**payload))


async def test_output_does_not_disturb(python: PythonExecutor, call: Make) -> None:
    """Megabytes printed by a task neither block it nor reach the messages."""
    assert await python.execute(call("chatter")) == "quiet"


@pytest.mark.parametrize("type_", [TaskType.IO, TaskType.COMPUTE])
@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("exit_with", {"code": 5}, "exit code 5"),
        ("exit_with", {"code": 0}, "exit code 0"),
        ("kill_self", {}, "SIGKILL"),
        ("segfault", {}, "SIGSEGV"),
    ],
)
async def test_a_crash_is_named(
    python: PythonExecutor, call: Make, name: str, arguments: dict[str, Any], text: str, type_: TaskType
) -> None:
    """A task that ends its process fails naming how, and the next one gets a new process."""
    with pytest.raises(TaskCrashedError, match=text):
        await python.execute(call(name, type_, **arguments))
    assert await python.execute(call("add", type_, a=1, b=1)) == 2


async def test_cohabitants_survive_a_crash(
    python: PythonExecutor, call: Make, tmp_path: Path, eventually: Any
) -> None:
    """Of the tasks that shared a process only the one that crashes it fails; the others run again."""
    marks, goes, done = tmp_path / "marks", tmp_path / "go", tmp_path / "done"
    guilty = asyncio.create_task(
        python.execute(call("mark_and_exit_when", path=str(marks), needed=str(goes)))
    )
    innocents = [
        asyncio.create_task(python.execute(call("mark_and_wait_for", path=str(marks), needed=str(done))))
        for _ in range(5)
    ]
    await eventually(lambda: marks.exists() and len(marks.read_text().split()) == 6)
    goes.touch()
    with pytest.raises(TaskCrashedError, match="exit code 9"):
        await guilty
    done.touch()
    assert await asyncio.gather(*innocents) == ["innocent"] * 5
    assert len(marks.read_text().split()) == 12


async def test_cancelling_lets_an_async_function_clean_up(
    python: PythonExecutor, call: Make, tmp_path: Path, eventually: Any, pid_in: PidIn
) -> None:
    """An async function is cancelled in the child, which goes on; its finally has run before we return."""
    marks, cleaned = tmp_path / "marks", tmp_path / "cleaned"
    task = asyncio.create_task(python.execute(call("clean_up", path=str(marks), cleaned=str(cleaned))))
    await eventually(lambda: pid_in(marks))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pid_in(cleaned) == pid_in(marks) == await python.execute(call("pid"))


@pytest.mark.parametrize("name", ["block", "stubborn"])
@pytest.mark.parametrize("type_", [TaskType.IO, TaskType.COMPUTE])
async def test_what_cannot_be_interrupted_is_killed(
    python: PythonExecutor,
    call: Make,
    tmp_path: Path,
    eventually: Any,
    pid_in: PidIn,
    is_alive: IsAlive,
    name: str,
    type_: TaskType,
) -> None:
    """A plain function or one that refuses to end is gone with its process before we return."""
    marks = tmp_path / "marks"
    task = asyncio.create_task(python.execute(call(name, type_, path=str(marks))))
    await eventually(lambda: pid_in(marks))
    pid = pid_in(marks)
    assert pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)
    assert await python.execute(call("add", type_, a=1, b=1)) == 2


async def test_cohabitants_survive_a_forced_cancel(
    python: PythonExecutor, call: Make, tmp_path: Path, eventually: Any
) -> None:
    """When a process is killed for one cancelled task, the others in it run again and succeed."""
    marks, done = tmp_path / "marks", tmp_path / "done"
    blocked = asyncio.create_task(python.execute(call("block", path=str(marks))))
    others = [
        asyncio.create_task(python.execute(call("mark_and_wait_for", path=str(marks), needed=str(done))))
        for _ in range(3)
    ]
    await eventually(lambda: marks.exists() and len(marks.read_text().split()) == 4)
    blocked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocked
    done.touch()
    assert await asyncio.gather(*others) == ["innocent"] * 3


async def test_cancelling_kills_grandchildren(
    python: PythonExecutor, call: Make, tmp_path: Path, eventually: Any, pid_in: PidIn, is_alive: IsAlive
) -> None:
    """A program started by the killed function, in a session of its own, dies with it."""
    marks = tmp_path / "marks"
    task = asyncio.create_task(python.execute(call("with_grandchild", path=str(marks))))
    await eventually(lambda: pid_in(marks))
    grandchild = pid_in(marks)
    assert grandchild
    assert is_alive(grandchild)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(grandchild)


async def test_cancelling_before_the_start(python: PythonExecutor, call: Make, tmp_path: Path) -> None:
    """A task that still waits for a child is taken back and never runs."""
    marks = tmp_path / "marks"
    task = asyncio.create_task(python.execute(call("mark", path=str(marks))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await python.execute(call("add", a=1, b=1)) == 2
    assert not marks.exists()


async def test_a_timeout_works_from_outside(python: PythonExecutor, call: Make, tmp_path: Path) -> None:
    """asyncio.timeout around execute ends a function that blocks."""
    await python.execute(call("pid"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await python.execute(call("block", path=str(tmp_path / "marks")))


async def test_an_idle_child_that_dies_is_replaced(
    python: PythonExecutor, call: Make, eventually: Any
) -> None:
    """Somebody killing an idle child does not fail the next task."""
    pid = await python.execute(call("pid"))
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: pid not in python.child_ids)
    assert await python.execute(call("pid")) != pid


async def test_large_results_pass(python: PythonExecutor, call: Make) -> None:
    """Results of megabytes arrive whole, several at once."""
    results = await asyncio.gather(*(python.execute(call("large", n=3_000_000)) for _ in range(4)))
    assert [len(result) for result in results] == [3_000_000] * 4


async def test_a_result_beyond_all_bounds_fails(python: PythonExecutor, call: Make) -> None:
    """A result that would fill the worker's memory fails its task."""
    with pytest.raises(TaskFailedError, match="more than the"):
        await python.execute(call("large", n=70_000_000))


async def test_cancelling_itself_is_a_failure(python: PythonExecutor, call: Make) -> None:
    """A CancelledError that nobody asked for is the task's failure."""
    with pytest.raises(TaskFailedError, match="CancelledError"):
        await python.execute(call("cancel_itself"))


async def test_a_second_cancellation_kills_the_child(call: Make, tmp_path: Path, eventually: Any) -> None:
    """A function that does not want to end is gone with its process, without waiting for the grace."""
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=1, stop_grace_s=600))
    marks = tmp_path / "marks"
    task = asyncio.create_task(executor.execute(call("stubborn", path=str(marks))))
    await eventually(marks.exists)
    task.cancel()
    await asyncio.wait([task], timeout=0.3)
    assert not task.done()
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
    await executor.close()


async def test_closing_fails_what_still_runs(call: Make, tmp_path: Path, eventually: Any) -> None:
    """Tasks that are still there when the executor is closed fail instead of hanging."""
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=1, stop_grace_s=0.5))
    marks = tmp_path / "marks"
    tasks = [
        asyncio.create_task(executor.execute(call("block", TaskType.COMPUTE, path=str(marks))))
        for _ in range(2)
    ]
    await eventually(marks.exists)
    await executor.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, PlatformError) for result in results)


async def test_prints_may_go_to_standard_error(call: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """On request what tasks print is seen on the worker's standard error."""
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=1, child_output="stderr"))
    await executor.execute(call("say", text="hello from a task"))
    await executor.close()
    assert "hello from a task" in capfd.readouterr().err


async def test_closing_ends_the_children(call: Make, is_alive: IsAlive) -> None:
    """After close no child is left."""
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=1))
    pids = [await executor.execute(call("pid", type_)) for type_ in (TaskType.IO, TaskType.COMPUTE)]
    await executor.close()
    assert not any(map(is_alive, pids))


async def test_a_child_that_cannot_start_is_our_fault(call: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no child can be started, tasks fail as the platform's error and not as their own."""
    monkeypatch.setattr(child, "_PROGRAM", "talka_services.executors.no_such_program")
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=2))
    results = await asyncio.gather(
        *(executor.execute(call("pid")) for _ in range(50)), return_exceptions=True
    )
    assert all(isinstance(result, PlatformError) for result in results)
    await executor.close()
