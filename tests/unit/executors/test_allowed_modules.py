"""Python tasks run functions of the modules that their worker was told to allow, by whatever name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.executors.conftest import MODULE

from talka_protocols.errors import NotAllowedError
from talka_protocols.ports import Attempt
from talka_services.executors.python import PythonExecutor
from talka_services.executors.registry import ExecutorSettings

Make = Callable[..., Attempt]


async def test_only_allowed_modules_run(python: PythonExecutor, attempt: Make) -> None:
    """A module that is not on the list is refused with the option that would allow it."""
    with pytest.raises(NotAllowedError, match="--allow-module os"):
        await python.execute(attempt(call="os:getcwd"))
    with pytest.raises(NotAllowedError, match="talka_test_functions_too"):
        await python.execute(attempt(call=f"{MODULE}_too:add"))


@pytest.mark.parametrize("name", ["os.getcwd", "subprocess.Popen"])
async def test_an_allowed_module_opens_no_other(python: PythonExecutor, call: Make, name: str) -> None:
    """What an allowed module imported is not reachable through it."""
    with pytest.raises(NotAllowedError, match="reaches through"):
        await python.execute(call(name))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("system", {"command": "touch ran"}),
        ("system.__call__", {"command": "touch ran"}),
        ("Popen.__call__", {"args": ["touch", "ran"]}),
        ("add.__globals__.update", {"LEFT": None}),
        ("TABLE.update", {"a": 1}),
        ("TABLE.fromkeys", {}),
    ],
)
async def test_an_allowed_module_lends_nothing_it_uses(
    call: Make, tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    """Neither by another name of the same function, nor what is bound in C and says of no module."""
    settings = ExecutorSettings(allow_modules=(MODULE,), processes=1, work_dir=str(tmp_path))
    executor = PythonExecutor(settings)
    with pytest.raises(NotAllowedError):
        await executor.execute(call(name, **arguments))
    await executor.close()
    assert not (tmp_path / "ran").exists()


async def test_files_of_tasks_take_no_modules_place(call: Make, attempt: Make, tmp_path: Path) -> None:
    """What a task left in its directory is not imported instead of what is installed; its own names count."""
    (tmp_path / "ctypes.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "left_here.py").write_text("def three():\n    return 3\n")
    settings = ExecutorSettings(allow_modules=(MODULE, "left_here"), processes=1, work_dir=str(tmp_path))
    executor = PythonExecutor(settings)
    async with asyncio.timeout(60):
        assert await executor.execute(call("add", a=1, b=2)) == 3
        assert await executor.execute(attempt(call="left_here:three")) == 3
    await executor.close()
