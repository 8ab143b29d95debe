"""One process of a command task: started, fed, read in bounded memory, and ended with all it started."""

from __future__ import annotations

import asyncio
import signal
import uuid
from typing import cast

from msgspec import Struct

from talka_core.secrets import RedactedStream, Redactor
from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_protocols.tasklogs import Channel
from talka_services.executors import families, lifelines
from talka_services.executors.capture import Capture
from talka_services.executors.environment import RUN_VARIABLE
from talka_services.executors.guardian import Guardian
from talka_services.executors.sampling import CommandWatch, Sampler
from talka_services.executors.stopping import uninterrupted

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_DRAIN_S = 1.0
"""How long the output may stay open after the process ended, say for the rest of ``>(tee log)``."""


class Launch(Struct, frozen=True):
    """How to start a process; ``program`` is the file, ``argv[0]`` what it is told its name is."""

    argv: list[str]
    program: str
    cwd: str
    env: dict[str, str]
    stdin: bytes
    output_bytes_max: int
    stop_grace_s: float


class Ended(Struct, frozen=True):
    """How a process ended and what was kept of its output; minus the signal if one killed it."""

    exit_code: int
    stdout: str
    stderr: str
    is_truncated: bool


async def run_process(launch: Launch, attempt: Attempt, guardian: Guardian, sampler: Sampler) -> Ended:
    """Run a process to its end; when cancelled, end it and everything it started first.

    Raises:
        TaskFailedError: the system could not start it.
        MemoryExceededError: it held more than it may and was killed with everything it started.
    """
    process = _Process(launch, guardian, attempt)
    is_cancelled = await uninterrupted(_start(process, launch))
    watch = CommandWatch(process.pid, attempt, process.kill)
    sampler.watch(watch)
    try:
        if is_cancelled:
            # It came while the process was being started, which has happened now.
            raise asyncio.CancelledError  # noqa: TRY301
        await process.ended.wait()
        await process.finish_output()
        if watch.is_exceeded:
            await process.stop(0.0)
    except asyncio.CancelledError:
        await uninterrupted(process.stop(launch.stop_grace_s), process.kill)
        raise
    finally:
        sampler.forget(watch)
        process.close()
    if watch.is_exceeded:
        raise watch.error()
    return process.report()


async def _start(process: _Process, launch: Launch) -> None:
    try:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: process,
            *launch.argv,
            executable=launch.program,
            stdin=asyncio.subprocess.PIPE if launch.stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=launch.cwd,
            env={**launch.env, RUN_VARIABLE: process.run},
            pass_fds=lifelines.held(),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise TaskFailedError(
            f"The program {launch.program!r} could not be started: {error}.",
            hint="Check that it is a program for this system and that its arguments are not too long.",
        ) from error


class _Process(asyncio.SubprocessProtocol):
    """Receives what happens to the process from the loop."""

    def __init__(self, launch: Launch, guardian: Guardian, attempt: Attempt) -> None:
        self.ended = asyncio.Event()
        self.run = uuid.uuid4().hex
        self._guardian = guardian
        self._progress = attempt.progress
        self._logbook = attempt.logbook
        self._stdin = launch.stdin
        self._streams = {
            _STDOUT: Capture(launch.output_bytes_max),
            _STDERR: Capture(launch.output_bytes_max),
        }
        redactor = Redactor(attempt.secrets)
        self._masks = {fd: RedactedStream(redactor) for fd in self._streams} if attempt.secrets else {}
        self._open = set(self._streams)
        self._closed = asyncio.Event()

    @property
    def pid(self) -> int:
        """The id of the process, which leads its group and session; only after the start."""
        return self._pid

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over the standard input."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._pid = self._transport.get_pid()
        self._guardian.watch(self._pid)
        if not self._stdin:
            return
        pipe = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(_STDIN))
        pipe.write(self._stdin)
        pipe.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the ends of what was printed for the result, and hand all of it on; who prints is alive."""
        mask = self._masks.get(fd)
        self._keep(fd, data if mask is None else mask.feed(data))
        if self._progress is not None:
            self._progress.beat()

    def _keep(self, fd: int, data: bytes) -> None:
        self._streams[fd].feed(data)
        if self._logbook is not None:
            self._logbook.write(Channel.STDOUT if fd == _STDOUT else Channel.STDERR, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        """Note that a stream ended; a program that does not read its input may close it."""
        if (mask := self._masks.get(fd)) is not None:
            self._keep(fd, mask.close())
        self._open.discard(fd)
        if not self._open:
            self._closed.set()

    def process_exited(self) -> None:
        """Note that the process itself ended."""
        self.ended.set()

    async def finish_output(self) -> None:
        """Wait for the rest of the output; end those that keep it open too long."""
        if await self._is_closed_within(_DRAIN_S):
            return
        families.signal_group(self._pid, signal.SIGKILL)
        if not await self._is_closed_within(_DRAIN_S):
            await asyncio.to_thread(families.kill, self._pid, self.run)
            await self._is_closed_within(_DRAIN_S)

    async def stop(self, grace_s: float) -> None:
        """Ask the process and all it started to end, and kill what has not after the grace."""
        known = await asyncio.to_thread(families.members, self._pid, self.run)
        families.signal_all(self._pid, known, signal.SIGTERM)
        await asyncio.to_thread(families.wait_for_end, known, grace_s)
        await asyncio.to_thread(families.kill, self._pid, self.run, known)
        await self.ended.wait()

    def kill(self) -> None:
        """Kill the process and its group at once; ``stop``, which is under way, finds the rest."""
        families.signal_group(self._pid, signal.SIGKILL)

    def report(self) -> Ended:
        """Return how the process ended; only after it did."""
        code = self._transport.get_returncode()
        assert code is not None, "a process that ended has an exit code"
        out, err = self._streams[_STDOUT], self._streams[_STDERR]
        return Ended(code, out.text(), err.text(), out.is_truncated or err.is_truncated)

    def close(self) -> None:
        """End what is left of the process group and close the pipes; only after the process ended."""
        families.signal_group(self._pid, signal.SIGKILL)
        self._guardian.forget(self._pid)
        self._transport.close()

    async def _is_closed_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return False
        return True
