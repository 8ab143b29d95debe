"""The worker's end of one child process that runs Python tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from talka_protocols.errors import PlatformError
from talka_protocols.ports import Attempt
from talka_services.executors import families, frames, lifelines
from talka_services.executors.environment import RUN_VARIABLE
from talka_services.executors.exits import exit_text
from talka_services.executors.guardian import Guardian
from talka_services.executors.sampling import Sampler

_PROGRAM = "talka_services.executors.child_program"
_READ_BYTES = 256 * 1024
_START_TIMEOUT_S = 60.0


class ChildLaunch(Struct, frozen=True):
    """How to start a child; ``passes_output`` lets what tasks print go to the worker's standard error."""

    hello: frames.Hello
    env: dict[str, str]
    cwd: str
    passes_output: bool
    guardian: Guardian
    sampler: Sampler


class Job:
    """One request to run a function, in whichever child it is now."""

    __slots__ = ("answer", "attempt", "body", "call", "child", "number", "reruns", "stopped")

    def __init__(self, number: int, call: str, body: Callable[[], bytes], attempt: Attempt) -> None:
        self.number = number
        self.call = call
        self.body = body
        """Encodes the request as of now: what the attempt has saved meanwhile goes with it."""
        self.attempt = attempt
        self.answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.child: Child | None = None
        self.reruns = 0
        self.stopped: asyncio.Event | None = None
        """Set while the job is being stopped; fires when it has ended."""


class Child(asyncio.Protocol):
    """One child process: sends it jobs, hands its answers on, notices its end.

    Whoever starts it is told of every answer and, once, of its end with the
    jobs that it left unfinished, after all its processes are gone.
    """

    def __init__(
        self,
        on_answer: Callable[[Child, frames.Answer], None],
        on_end: Callable[[Child, int], None],
    ) -> None:
        self.jobs: dict[int, Job] = {}
        self.is_condemned = False
        """Whether it was killed on purpose, so that no job is to blame."""
        self.is_gone = False
        """Whether it hung up, so that it takes no jobs any more."""
        self.holds_too_much = False
        """Whether it was killed because of its memory, for which one of its jobs is to blame."""
        self.served = 0
        """How many jobs it was given."""
        self._on_answer = on_answer
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        self._reader = frames.FrameReader()
        self._outbox: list[bytes] = []
        self._run = uuid.uuid4().hex

    @property
    def pid(self) -> int:
        """The id of the process, which is also that of its group; only after the start."""
        return self._process.pid

    @property
    def takes_jobs(self) -> bool:
        """Whether a job given now has a chance to run here."""
        return not (self.is_gone or self.is_condemned)

    async def start(self, launch: ChildLaunch) -> None:
        """Start the process and return when it takes jobs.

        Raises:
            PlatformError: it ended before that, or took too long.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await self._spawn(launch, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        self._guardian, self._sampler = launch.guardian, launch.sampler
        self._guardian.watch(self._process.pid)
        self._socket = ours
        ours.setblocking(False)
        transport, _ = await self._loop.create_connection(lambda: self, sock=ours)
        self._transport = cast("asyncio.WriteTransport", transport)
        self._watching = self._loop.create_task(self._watch())
        self.send(frames.encode(launch.hello))
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._ready
        except TimeoutError:
            self.kill()
            raise PlatformError(
                f"A child process for Python tasks did not start within {_START_TIMEOUT_S} s.",
                hint="The machine may be overloaded, or out of memory.",
            ) from None

    def give(self, job: Job) -> None:
        """Run a job here."""
        job.child = self
        self.jobs[job.number] = job
        self.served += 1
        self._sampler.wake()
        self.send(job.body())

    def send(self, message: bytes) -> None:
        """Send an encoded message with all others of this turn of the loop."""
        self._outbox.append(message)
        if len(self._outbox) == 1:
            self._loop.call_soon(self._flush)

    def kill(self) -> None:
        """Kill the process; what it leaves unfinished is run again elsewhere."""
        if not self.is_condemned:
            self.is_condemned = True
            self._killing = self._loop.create_task(self._kill())

    async def close(self, grace_s: float) -> None:
        """Let the process end, kill it after the grace, and return when all of it is gone."""
        self.is_condemned = True
        self._transport.close()
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.shield(self._watching)
        except TimeoutError:
            await self._kill()
            await self._watching

    def data_received(self, data: bytes) -> None:
        """Hand on the answers that have arrived."""
        for body in self._reader.feed(data):
            for answer in frames.decode_answers(body):
                if isinstance(answer, frames.Ready):
                    self._ready.set_result(None)
                else:
                    self._on_answer(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """A process that hung up can do nothing more for us, should it still live."""
        self.is_gone = True
        if self._process.returncode is None:
            families.signal_group(self._process.pid, signal.SIGKILL)

    def _flush(self) -> None:
        batch, self._outbox = self._outbox, []
        self._transport.write(frames.frame(batch))

    async def _spawn(self, launch: ChildLaunch, fd: int) -> asyncio.subprocess.Process:
        output = sys.stderr.fileno() if launch.passes_output else subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            sys.executable,
            # A file that a task leaves in its directory must not take the place of a module.
            "-P",
            "-m",
            _PROGRAM,
            str(fd),
            pass_fds=(fd, *lifelines.held()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=launch.cwd,
            env={**launch.env, RUN_VARIABLE: self._run},
            start_new_session=True,
        )

    async def _watch(self) -> None:
        code = await self._process.wait()
        self._drain()
        try:
            await asyncio.to_thread(families.kill, self._process.pid, self._run)
        finally:
            self._end(code)

    def _end(self, code: int) -> None:
        self._guardian.forget(self._process.pid)
        self._transport.abort()
        if not self._ready.done():
            self._ready.set_exception(
                PlatformError(
                    f"A child process for Python tasks {exit_text(code)} before it could start.",
                    hint=f"Run `python -m {_PROGRAM} 0` where the worker runs to see why.",
                )
            )
        self._on_end(self, code)

    def _drain(self) -> None:
        """Take the answers that it had sent before it ended, so that those jobs are not run twice."""
        try:
            while data := self._socket.recv(_READ_BYTES):
                self.data_received(data)
        except OSError:
            # Nothing is left to read, or the loop has closed the socket because it read it all.
            return

    async def _kill(self) -> None:
        await asyncio.to_thread(families.kill, self._process.pid, self._run)


def work_directory(work_dir: str | None) -> str:
    """Return the directory in which tasks start."""
    return os.path.abspath(work_dir or os.getcwd())
