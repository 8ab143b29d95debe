"""Goal: functions save checkpoints and steps from wherever they run, and find them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_protocols.errors import StaleAttemptError, TaskFailedError
from talka_protocols.messages import Mark
from talka_protocols.ports import Attempt
from talka_protocols.workflow import ClaimCheck, Task
from talka_services.executors.agents import AgentExecutor
from talka_services.executors.python import PythonExecutor
from talka_services.executors.registry import ExecutorSettings

MODULE = "talka_progress_functions"
SOURCE = """
import os, pathlib, threading

async def work(context, crash="", path=""):
    before = context.checkpointed
    await context.checkpoint({"page": 1})
    one = await context.step("one", lambda: (1, 2))
    two = await context.step("two", count, path, add=3)
    if crash and not pathlib.Path(crash).exists():
        pathlib.Path(crash).touch()
        os._exit(7)
    return [before, context.checkpointed, one, two]

async def count(path, add):
    with open(path, "a") as file:
        file.write("x")
    return add

def plain(context, crash="", path=""):
    before = context.checkpointed
    context.checkpoint({"page": 1})
    one = context.step("one", lambda: (1, 2))
    two = context.step("two", plain_count, path, add=3)
    return [before, context.checkpointed, one, two]

def plain_count(path, add):
    with open(path, "a") as file:
        file.write("x")
    return add

async def twice(context):
    await context.step("same", lambda: 1)
    await context.step("same", lambda: 2)

def odd(context):
    context.checkpoint(object())

def odd_step(context):
    context.step("lock", threading.Lock)

async def stubborn(context):
    try:
        await context.checkpoint(1)
    except Exception as error:
        return [type(error).__name__, str(error)]
"""


class Kept:
    """Progress that is kept in memory and recorded at once."""

    def __init__(self) -> None:
        self.checkpoint = Raw(b"null")
        self.steps: dict[str, Raw] = {}
        self.artifacts: dict[str, ClaimCheck | None] = {}
        self.beats = 0
        self.refusal: Exception | None = None

    async def save(self, mark: Mark, name: str, data: Raw) -> Raw:
        """Keep it."""
        if self.refusal is not None:
            raise self.refusal
        if mark is Mark.STEP:
            self.steps[name] = data.copy()
        else:
            self.checkpoint = data.copy()
        return data

    async def settled(self) -> None:
        """Return at once."""

    def beat(self) -> None:
        """Count it."""
        self.beats += 1


@pytest.fixture
async def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PythonExecutor]:
    """Offer Python tasks with one process."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]
    executor = PythonExecutor(ExecutorSettings(allow_modules=(MODULE,), processes=1, stop_grace_s=0.5))
    yield executor
    await executor.close()


def attempt(kept: Kept, function: str, isolation: str = "process", **arguments: Any) -> Attempt:
    """Return an attempt that calls a function of the module above."""
    payload = {"call": f"{MODULE}:{function}", "arguments": arguments, "isolation": isolation}
    return Attempt("e", Task("t", "python", payload=payload), 1, 7, "w", kept)


@pytest.mark.parametrize(
    ("function", "isolation"), [("work", "process"), ("plain", "process"), ("work", "none")]
)
async def test_next_attempt_goes_on(
    python: PythonExecutor, tmp_path: Path, function: str, isolation: str
) -> None:
    """The second attempt sees the checkpoint and runs no finished step; results look the same in both."""
    kept, path = Kept(), tmp_path / "count"
    first = await python.execute(attempt(kept, function, isolation, path=str(path)))
    second = await python.execute(attempt(kept, function, isolation, path=str(path)))
    assert first == [None, {"page": 1}, [1, 2], 3]
    assert second == [{"page": 1}, {"page": 1}, [1, 2], 3]
    assert path.read_text() == "x"
    assert {name: msgspec.json.decode(raw) for name, raw in kept.steps.items()} == {"one": [1, 2], "two": 3}


async def test_job_that_is_run_again_in_the_same_attempt_goes_on(
    python: PythonExecutor, tmp_path: Path
) -> None:
    """When another task takes the shared process down, the innocent one runs again from what it saved."""
    kept, path, crash = Kept(), tmp_path / "count", tmp_path / "crash"
    work = attempt(kept, "work", path=str(path), crash=str(crash))
    other = attempt(Kept(), "work", path=str(tmp_path / "other"))
    results = await asyncio.gather(python.execute(work), python.execute(other), return_exceptions=True)
    result: Any = results[0]
    if isinstance(result, BaseException):
        # It was alone when it crashed, so that it was to blame.
        result = await python.execute(work)
    assert result == [{"page": 1}, {"page": 1}, [1, 2], 3]
    assert path.read_text() == "x"


async def test_name_used_twice(python: PythonExecutor) -> None:
    """Two steps of one name in one attempt would get each other's results, so it is an error."""
    with pytest.raises(TaskFailedError, match="'same' is used twice"):
        await python.execute(attempt(Kept(), "twice"))


@pytest.mark.parametrize(
    ("function", "text"), [("odd", "checkpoint is a value of type 'object'"), ("odd_step", "'lock' returned")]
)
async def test_no_json(python: PythonExecutor, function: str, text: str) -> None:
    """What JSON cannot hold is refused where it is saved."""
    with pytest.raises(TaskFailedError, match=text):
        await python.execute(attempt(Kept(), function))


@pytest.mark.parametrize("isolation", ["process", "none"])
async def test_stale_attempt_is_told(python: PythonExecutor, isolation: str) -> None:
    """A refused save raises inside the function, under the name of the reason."""
    kept = Kept()
    kept.refusal = StaleAttemptError("Another attempt runs.", hint="Let the task end.")
    told = await python.execute(attempt(kept, "stubborn", isolation))
    assert told == ["StaleAttemptError", "Another attempt runs. Let the task end."]


class Weaver:
    """An agent whose method wants the context."""

    async def execute_task(self, task: Task, context: Any) -> Any:
        """Save and tell what was saved before."""
        before = context.checkpointed
        await context.checkpoint(task.id)
        return before


class PlainWeaver:
    """The same, with a plain method."""

    def on_task(self, task: Task, context: Any) -> Any:
        """Save and tell what was saved before."""
        before = context.checkpointed
        context.checkpoint(task.id)
        return before


@pytest.mark.parametrize("agent", [Weaver(), PlainWeaver()])
async def test_agents_save_too(agent: object) -> None:
    """A method with a parameter named context gets one, in the loop and in a thread."""
    kept, executor = Kept(), AgentExecutor(agent)
    given = Attempt("e", Task("t", "weave"), 1, 7, "w", kept)
    assert [await executor.execute(given), await executor.execute(given)] == [None, "t"]
