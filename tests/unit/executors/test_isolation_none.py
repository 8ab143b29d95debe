"""Trusted async functions in the worker's own loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from talka_protocols.errors import NotAllowedError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.python import PythonExecutor

MODULE = "talka_test_functions"
Make = Callable[..., Attempt]


async def test_it_runs_in_this_process(python: PythonExecutor, attempt: Make) -> None:
    """The function runs here, is given its context, and no child is started."""
    assert await python.execute(attempt(call=f"{MODULE}:pid_async", isolation="none")) == os.getpid()
    told = await python.execute(attempt(call=f"{MODULE}:told_async", isolation="none"))
    assert told == ["e", "t", 1, 7, "e/t", "w"]
    assert python.child_ids == ()


async def test_a_plain_function_is_refused(python: PythonExecutor, attempt: Make) -> None:
    """A plain function would block the worker, so it does not run at all."""
    with pytest.raises(TaskFailedError, match="plain function and would block"):
        await python.execute(attempt(call=f"{MODULE}:pid", isolation="none"))


async def test_the_allow_list_holds_here_too(python: PythonExecutor, attempt: Make) -> None:
    """Only allowed modules run in the worker."""
    with pytest.raises(NotAllowedError):
        await python.execute(attempt(call="asyncio:sleep", isolation="none"))


@pytest.mark.parametrize(
    ("name", "text"),
    [("leave_async", "SystemExit: 3"), ("cancel_itself", "cancelled itself"), ("odd_async", "'object'")],
)
async def test_failures_stay_the_tasks(python: PythonExecutor, attempt: Make, name: str, text: str) -> None:
    """sys.exit, a CancelledError of its own and an unencodable result fail the task, not the worker."""
    with pytest.raises(TaskFailedError, match=text):
        await python.execute(attempt(call=f"{MODULE}:{name}", isolation="none"))


async def test_it_can_be_cancelled(
    python: PythonExecutor, attempt: Make, tmp_path: Path, eventually: Any
) -> None:
    """A cancelled function has cleaned up when the cancellation goes on."""
    marks, cleaned = tmp_path / "marks", tmp_path / "cleaned"
    payload = {"call": f"{MODULE}:clean_up", "arguments": {"path": str(marks), "cleaned": str(cleaned)}}
    task = asyncio.create_task(python.execute(attempt(**payload, isolation="none")))
    await eventually(marks.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.exists()
