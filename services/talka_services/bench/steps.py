"""What the measured tasks do; their stamps are of the monotonic clock, which all processes share."""

from __future__ import annotations

import asyncio
import time


async def stamp() -> tuple[int, int]:
    """Do nothing, and return when that began and ended (nanoseconds)."""
    return time.monotonic_ns(), time.monotonic_ns()


async def nap(seconds: float) -> tuple[int, int]:
    """Wait, and return when that began and ended (nanoseconds)."""
    began = time.monotonic_ns()
    await asyncio.sleep(seconds)
    return began, time.monotonic_ns()


def burn(rounds: int) -> tuple[int, int]:
    """Keep one core busy, and return when that began and ended (nanoseconds)."""
    began = time.monotonic_ns()
    value = 1
    for _ in range(rounds):
        value = (value * 1_103_515_245 + 12_345) % 2_147_483_648
    assert value >= 0, "the loop must not be left out"
    return began, time.monotonic_ns()


def rounds_for(seconds: float) -> int:
    """Return how many rounds keep one core of this machine busy for about this long."""
    sample = 200_000
    # The fastest of several is the one that nobody else disturbed.
    took_ns = min(ended - began for began, ended in (burn(sample) for _ in range(5)))
    return max(1, round(sample * seconds * 1e9 / max(1, took_ns)))
