"""The program of the child processes that run Python tasks: ``python -m ... FD``.

The loop's thread only talks to the worker and runs async functions; plain
functions run in a bounded pool of threads. Answers that are ready at the same
time leave in one frame. When the worker's end of the socket closes, the whole
process group ends, whatever the functions are doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import signal
import socket
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, assert_never, cast

from msgspec import Raw

from talka_protocols.errors import NotAllowedError, StaleAttemptError, TaskFailedError
from talka_protocols.messages import Mark
from talka_protocols.tasklogs import Channel
from talka_services.executors import frames, printing
from talka_services.executors.context import PlainTaskContext, TaskContext
from talka_services.executors.failures import describe, kinds_of
from talka_services.executors.functions import Function, find_function
from talka_services.executors.printing import Printout, Router
from talka_services.executors.results import encoded, split

_PR_SET_PDEATHSIG = 1


class Host(asyncio.Protocol):
    """Takes requests from the worker, runs them, and answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = frames.FrameReader()
        self._functions: dict[str, Function] = {}
        self._running: dict[int, asyncio.Task[None] | Future[None]] = {}
        self._calls = itertools.count(1)
        self._saves: dict[int, Future[Raw]] = {}
        self._answers: deque[bytes] = deque()
        self._is_flushing = False
        self._router = Router()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back to the worker."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take every request that has arrived."""
        for body in self._reader.feed(data):
            for request in frames.decode_requests(body):
                self._take(request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """End at once, with everything that tasks started in this process group."""
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(0)

    def _take(self, request: frames.Request) -> None:
        match request:
            case frames.Hello():
                self._begin(request)
            case frames.Run():
                self._run(request)
            case frames.Cancel():
                self._cancel(request.number)
            case frames.Recorded():
                self._recorded(request)
            case _:
                assert_never(request)

    def _begin(self, hello: frames.Hello) -> None:
        sys.path.extend(place for place in hello.path if place not in sys.path)
        self._allow = hello.allow_modules
        self._is_alone = hello.is_alone
        self._used = _process_s if hello.is_alone else time.thread_time
        self._threads = ThreadPoolExecutor(hello.threads, thread_name_prefix="task")
        self._answer(frames.Ready())

    def _run(self, run: frames.Run) -> None:
        function = self._functions.get(run.call)
        if function is not None and function.is_async:
            self._run_async(function, run)
        else:
            # Importing a module for the first time may take seconds, so it is done in the thread too.
            self._running[run.number] = self._threads.submit(self._run_in_thread, function, run)

    def _run_async(self, function: Function, run: frames.Run) -> None:
        self._running[run.number] = self._loop.create_task(self._await(function, run))

    async def _await(self, function: Function, run: frames.Run) -> None:
        task = asyncio.current_task()
        assert task is not None
        answer: frames.Answer
        began_s = _process_s()
        printout = self._printout(run.number)
        printing.current.set(printout)
        try:
            note = partial(printout.write, Channel.LOG)
            context = TaskContext(run.context, partial(self._save_async, run.number), note)
            result = await function.target(**_arguments(function, run, context))
            answer = _returned(run.number, result, _process_s() - began_s if self._is_alone else None)
        except asyncio.CancelledError as error:
            is_asked = task.cancelling() > 0
            answer = frames.Cancelled(run.number) if is_asked else _raised(run.number, error)
        except BaseException as error:  # noqa: BLE001  (SystemExit of one task must not end the others)
            answer = _raised(run.number, error, _process_s() - began_s if self._is_alone else None)
        printout.close()
        self._finish(run.number, answer)

    def _run_in_thread(self, function: Function | None, run: frames.Run) -> None:
        began_s = self._used()
        printout = self._printout(run.number)
        token = printing.current.set(printout)
        try:
            if function is None:
                function = self._functions[run.call] = find_function(run.call, self._allow)
            if function.is_async:
                self._loop.call_soon_threadsafe(self._run_async, function, run)
                return
            note = partial(printout.write, Channel.LOG)
            context = PlainTaskContext(run.context, partial(self._save_and_wait, run.number), note)
            result = function.target(**_arguments(function, run, context))
            answer: frames.Answer = _returned(run.number, result, self._used() - began_s)
        except BaseException as error:  # noqa: BLE001  (SystemExit of one task must not end its thread silently)
            answer = _raised(run.number, error, self._used() - began_s)
        finally:
            # What was printed goes in front of the answer, behind which nobody listens.
            printing.current.reset(token)
            printout.close()
        self._finish(run.number, answer)

    def _printout(self, number: int) -> Printout:
        """Return where a run prints to; alone in its process, it has all that is printed there."""

        def tell(channel: Channel, text: str, dropped: int) -> None:
            self._answer(frames.Wrote(number, channel, text, dropped))

        printout = Printout(tell)
        if self._is_alone:
            self._router.belong_to(printout)
        return printout

    def _cancel(self, number: int) -> None:
        running = self._running.get(number)
        if isinstance(running, asyncio.Task):
            running.cancel()
        elif running is not None:
            is_stopped = running.cancel()
            self._finish(number, frames.Cancelled(number) if is_stopped else frames.Busy(number))

    def _save(self, number: int, mark: Mark, name: str, data: Raw) -> Future[Raw]:
        """Ask to have something recorded; may be called from any thread."""
        call = next(self._calls)
        saving = self._saves[call] = Future[Raw]()
        self._answer(frames.Save(number, call, mark, name, data))
        return saving

    async def _save_async(self, number: int, mark: Mark, name: str, data: Raw) -> Raw:
        return await asyncio.wrap_future(self._save(number, mark, name, data))

    def _save_and_wait(self, number: int, mark: Mark, name: str, data: Raw) -> Raw:
        return self._save(number, mark, name, data).result()

    def _recorded(self, recorded: frames.Recorded) -> None:
        saving = self._saves.pop(recorded.call)
        if not saving.set_running_or_notify_cancel():
            return
        if not recorded.code:
            saving.set_result(recorded.data.copy())
        elif recorded.code == StaleAttemptError.code:
            saving.set_exception(StaleAttemptError(recorded.text, hint=recorded.hint))
        else:
            saving.set_exception(TaskFailedError(recorded.text, hint=recorded.hint))

    def _finish(self, number: int, answer: frames.Answer) -> None:
        if not isinstance(answer, frames.Busy):
            self._running.pop(number, None)
        self._answer(answer)

    def _answer(self, answer: frames.Answer) -> None:
        """Queue an answer; may be called from any thread.

        The flag is cleared before the queue is emptied, so an answer that
        comes in between is either taken along or starts a flush of its own.
        """
        self._answers.append(frames.encode(answer))
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        batch: list[bytes] = []
        with contextlib.suppress(IndexError):
            while True:
                batch.append(self._answers.popleft())
        if batch:
            self._transport.write(frames.frame(batch))


def _arguments(
    function: Function, run: frames.Run, context: TaskContext | PlainTaskContext
) -> dict[str, Any]:
    if function.wants_context and "context" not in run.arguments:
        return {**run.arguments, "context": context}
    return cast("dict[str, Any]", run.arguments)


def _process_s() -> float:
    """Return the processor time of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _returned(number: int, result: Any, cpu_s: float | None) -> frames.Returned:
    """Encode the result, so that one that cannot be recorded fails its own task only."""
    plain, extension = split(result)
    return frames.Returned(number, encoded(plain), extension, cpu_s)


def _raised(number: int, error: BaseException, cpu_s: float | None = None) -> frames.Raised | frames.Refused:
    if isinstance(error, NotAllowedError):
        return frames.Refused(number, error.message, error.hint)
    if isinstance(error, TaskFailedError):
        return frames.Raised(number, error.message, error.hint, error.kinds, cpu_s)
    return frames.Raised(number, describe(error), kinds=kinds_of(error), cpu_s=cpu_s)


def _die_with_parent() -> None:
    """Have the kernel end this process with the worker, even while a function holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


async def _serve(fd: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: Host(loop), sock=socket.socket(fileno=fd))
    await loop.create_future()


def main() -> None:
    """Serve the worker on the socket whose file descriptor is the first argument."""
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)
    _die_with_parent()
    asyncio.run(_serve(fd))


if __name__ == "__main__":
    main()
