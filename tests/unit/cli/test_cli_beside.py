"""The gateway's process beside a platform, when it cannot start or is not wanted any more."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from talka_services.cli.beside import GatewayEndedError, GatewayProcess
from talka_services.cli.command import Target
from talka_services.cli.serving import GatewayFlags
from talka_services.service import restarts

READY = 'print(\'{"ready": "gateway"}\', flush=True)'
"""The program of a gateway that is ready at once, and ends."""
SILENT = "input()"
STARTS = "talka_services.cli.beside.GatewayProcess._start"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "AGAIN_S", 0.01)


def starting(monkeypatch: pytest.MonkeyPatch, *programs: str | OSError) -> asyncio.Event:
    """Have these programs run in place of gateways, one after the other; return what the last one sets."""
    left, is_last = list(programs), asyncio.Event()

    async def start(_self: GatewayProcess, _listening: Any) -> asyncio.subprocess.Process:
        program = left.pop(0)
        if not left:
            is_last.set()
        if isinstance(program, OSError):
            raise program
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe)

    monkeypatch.setattr(STARTS, start)
    return is_last


def never() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_who_is_told_to_stop_does_not_wait_for_a_gateway_that_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starting(monkeypatch, SILENT)
    stopped = never()
    async with GatewayProcess(Target(), GatewayFlags(port=0)) as gateway:
        waiting = asyncio.create_task(gateway.address(stopped))
        await asyncio.wait((waiting,), timeout=0.05)
        assert not waiting.done()
        stopped.set_result(None)
        assert (await asyncio.wait_for(waiting, 10.0)).startswith("http://127.0.0.1:")


async def test_one_that_cannot_be_started_again_is_tried_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine may lack processes or memory for a while."""
    is_last = starting(monkeypatch, READY, OSError("no processes left"), SILENT)
    async with GatewayProcess(Target(), GatewayFlags(port=0)) as gateway:
        await gateway.address(never())
        await asyncio.wait_for(is_last.wait(), 10.0)


async def test_one_that_cannot_be_started_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    starting(monkeypatch, OSError("no processes left"))
    async with GatewayProcess(Target(), GatewayFlags(port=0)) as gateway:
        with pytest.raises(GatewayEndedError, match="no processes left"):
            await gateway.address(never())
