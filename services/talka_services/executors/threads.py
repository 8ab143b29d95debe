"""Runs plain callables of others off the loop, in threads that do not keep the program alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


async def in_thread(call: Callable[[], Any]) -> Any:
    """Run ``call`` in a thread of its own and return what it returned.

    A thread cannot be interrupted: when the caller is cancelled, this ends
    (with the cancellation) only when ``call`` does.

    Raises:
        Exception: whatever ``call`` raised.
    """
    future = _start(call)
    is_cancelled = False
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        # Whether it failed or not, nobody waits for it any more.
        future.exception()
        raise asyncio.CancelledError
    return future.result()


def _start(call: Callable[[], Any]) -> asyncio.Future[Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def run() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  (handed to the one who waits)
            failure = error
        try:
            loop.call_soon_threadsafe(_settle, future, result, failure)
        except RuntimeError:
            # The loop was closed meanwhile: nobody waits.
            return

    threading.Thread(target=run, name="talka-agent", daemon=True).start()
    return future


def _settle(future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if failure is None:
        future.set_result(result)
    elif isinstance(failure, Exception) and not isinstance(failure, StopIteration):
        future.set_exception(failure)
    else:
        # These would end the loop or cannot be set; as a plain error they fail only their task.
        future.set_exception(RuntimeError(f"{type(failure).__name__}: {failure}"))
