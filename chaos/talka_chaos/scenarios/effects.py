"""The tasks of the load: each acts on a file, as a system outside would be acted on, and says who did it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from talka_services.executors.context import TaskContext


class Effect(Struct, frozen=True, array_like=True):
    """What one attempt did; whoever honours the key takes all of one key for one effect."""

    key: str
    execution_id: str
    task_id: str
    attempt: int
    fence: int


async def act(context: TaskContext, sink: str, seconds: float) -> int:
    """Take ``seconds``, leave an effect in the file, and return the number of the attempt."""
    await asyncio.sleep(seconds)
    effect = Effect(
        context.idempotency_key, context.execution_id, context.task_id, context.attempt, context.fence
    )
    file = os.open(sink, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        # One call, so that processes which are killed or write at the same time leave whole lines.
        os.write(file, msgspec.json.encode(effect) + b"\n")
    finally:
        os.close(file)
    return context.attempt


def effects_in(sink: Path) -> list[Effect]:
    """Return everything that was done, in order."""
    lines = sink.read_bytes().splitlines() if sink.exists() else []
    return [msgspec.json.decode(line, type=Effect) for line in lines]
