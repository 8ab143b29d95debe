"""Goal: silence ends what is watched, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest

from talka_services.service.heartbeat import Heartbeat

LIMIT_S = 0.1


async def test_silence_ends_what_is_watched() -> None:
    """Without a beat the time is over, and it says so."""
    heartbeat = Heartbeat(LIMIT_S)
    with pytest.raises(TimeoutError):
        async with heartbeat.watch():
            await asyncio.Event().wait()
    assert heartbeat.is_missed


async def test_each_beat_begins_the_time_anew() -> None:
    """Beats count from when they come: what is silent after them ends a full limit later."""
    heartbeat = Heartbeat(LIMIT_S)
    loop = asyncio.get_running_loop()
    beaten_at = 0.0

    async def beat_once() -> None:
        nonlocal beaten_at
        async with heartbeat.watch():
            await asyncio.sleep(LIMIT_S / 2)
            beaten_at = loop.time()
            heartbeat.beat()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await beat_once()
    assert beaten_at
    assert loop.time() >= beaten_at + LIMIT_S


async def test_what_waits_to_be_recorded_is_alive() -> None:
    """An outage that keeps a save waiting for long ends nothing; silence after it does."""
    heartbeat = Heartbeat(LIMIT_S)
    has_waited = False

    async def save_slowly() -> None:
        nonlocal has_waited
        async with heartbeat.watch():
            with heartbeat.recording():
                await asyncio.sleep(LIMIT_S * 3)
            has_waited = True
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await save_slowly()
    assert has_waited


async def test_beats_outside_of_the_watch_do_nothing() -> None:
    """What is saved before, while it is being stopped, or after it is no mistake."""
    heartbeat = Heartbeat(LIMIT_S)
    heartbeat.beat()

    async def save_while_stopped() -> None:
        async with heartbeat.watch():
            try:
                await asyncio.Event().wait()
            finally:
                with heartbeat.recording():
                    await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await save_while_stopped()
    heartbeat.beat()
    assert heartbeat.is_missed


async def test_without_a_limit_nothing_ends() -> None:
    """A task that declares no limit is never late."""
    heartbeat = Heartbeat(None)
    async with heartbeat.watch():
        heartbeat.beat()
    assert not heartbeat.is_missed
