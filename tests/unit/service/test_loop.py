"""The loop with exact timers does what every loop does."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading

import pytest

from talka_services import loop as module
from talka_services.loop import run, until_one_ends


async def scenario() -> list[str]:
    """Use timers, file descriptors and another thread, and say in which order things happened."""
    loop, happened = asyncio.get_running_loop(), list[str]()
    near, far = socket.socketpair()
    near.setblocking(False)
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(near, readable.set_result, None)
    now = loop.time()
    loop.call_at(now + 0.002, happened.append, "late")
    loop.call_at(now + 0.001, happened.append, "early")
    await asyncio.sleep(0.01)
    far.send(b"x")
    await readable
    loop.remove_reader(near)
    happened.append("read")
    called = asyncio.Event()
    threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,)).start()
    async with asyncio.timeout(5):
        await called.wait()
    happened.append("called")
    process = await asyncio.create_subprocess_exec("true")
    happened.append(f"exit {await process.wait()}")
    near.close()
    far.close()
    return happened


@pytest.mark.parametrize("most", [1024, 0], ids=["exact", "too many descriptors"])
def test_loop_serves_timers_descriptors_threads_and_processes(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where ``select`` cannot take the descriptor, nothing is missed."""
    monkeypatch.setattr(module, "SELECT_MAX", most)
    assert run(scenario()) == ["early", "late", "read", "called", "exit 0"]


def test_collector_is_spared_what_was_imported_while_the_loop_runs() -> None:
    """Full collections do not walk through modules, and whoever called gets its own settings back."""

    async def settings() -> tuple[int, tuple[int, int, int]]:
        return gc.get_freeze_count(), gc.get_threshold()

    before = gc.get_threshold()
    frozen, thresholds = run(settings())
    assert frozen > 0
    assert thresholds == module.GC_THRESHOLDS
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)


def test_work_side_by_side_ends_with_the_first_of_it() -> None:
    """What goes on is stopped before the call returns, and what ended it by an error is raised."""
    stopped: list[str] = []

    async def going_on(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(name)

    async def ending() -> None:
        await asyncio.sleep(0)

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    run(until_one_ends(going_on("a"), ending(), going_on("b")))
    assert stopped == ["a", "b"]
    with pytest.raises(ValueError, match="broken"):
        run(until_one_ends(going_on("c"), failing()))
    assert stopped[2:] == ["c"]
