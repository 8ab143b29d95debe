"""Runs programs: no shell unless asked for, bounded output, nothing left behind.

Each command is the leader of its own session. When it has ended, what is left
of its process group is killed; when it is cancelled, so is whatever it started
(see ``families``). The allow-list bounds which program is started, not what
that program does.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from talka_core.traceparent import traceparent
from talka_protocols.errors import TaskCrashedError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.checkpoint_file import CheckpointFile
from talka_services.executors.child import work_directory
from talka_services.executors.directory import Directory
from talka_services.executors.environment import (
    OWN_PREFIX,
    TRACE_VARIABLE,
    passed_through,
    require_harmless,
)
from talka_services.executors.exits import signal_name
from talka_services.executors.functions import EVERYTHING
from talka_services.executors.guardian import Guardian
from talka_services.executors.process import Ended, Launch, run_process
from talka_services.executors.program import find_program
from talka_services.executors.registry import ExecutorSettings
from talka_services.executors.sampling import Sampler
from talka_services.executors.stopping import uninterrupted

_SHELL = "sh"
_TAIL_CHARS = 2_000
CHANGED_MAX = 1_000


class CommandPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """What to start: ``argv`` as it is, or ``shell`` for a line that ``sh -c`` interprets.

    With ``check`` a non-zero exit code fails the task. ``env`` is added to the
    environment that the worker passes on; ``stdin`` is text. With ``observe``
    the working directory is compared before and after, and the files that
    changed are recorded as what the task wrote.
    """

    argv: list[str | int | float] = field(default_factory=list[str | int | float])
    shell: str | None = None
    env: dict[str, str | int | float] = field(default_factory=dict[str, str | int | float])
    cwd: str | None = None
    stdin: str = ""
    check: bool = True
    observe: bool = False

    def __post_init__(self) -> None:
        if bool(self.argv) == (self.shell is not None):
            raise ValueError("give either `argv` or `shell`, and not both")


class CommandExecutor:
    """Runs ``command`` tasks: result ``{exit_code, stdout, stderr, truncated}``."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._guardian = Guardian()
        self._sampler = Sampler()
        self._inherited = passed_through(settings.environment)

    async def execute(self, attempt: Attempt) -> dict[str, Any]:
        """Run the program to its end.

        Raises:
            NotAllowedError: the worker was not told to allow this program.
            TaskFailedError: it exited non-zero (with ``check``), or could not be started.
            TaskCrashedError: a signal killed it.
            MemoryExceededError: it held more memory than the task asks for.
        """
        try:
            payload = msgspec.convert(attempt.task.payload, CommandPayload)
        except msgspec.ValidationError as error:
            raise TaskFailedError(
                f"The payload of the command task {attempt.task.id!r} is wrong: {error}.",
                hint="It takes argv or shell, and env, cwd, stdin, check, observe.",
            ) from error
        launch = self._launch(payload, attempt)
        root = work_directory(self._settings.work_dir)
        before = await asyncio.to_thread(Directory, launch.cwd, root) if payload.observe else None
        ended = await self._run(launch, attempt)
        if before is not None and attempt.progress is not None:
            changed = await asyncio.to_thread(before.changed)
            attempt.progress.artifacts.update(dict.fromkeys(changed[:CHANGED_MAX]))
        _require_success(ended, payload.check, launch.argv[0])
        return {
            "exit_code": ended.exit_code,
            "stdout": ended.stdout,
            "stderr": ended.stderr,
            "truncated": ended.is_truncated,
        }

    async def close(self) -> None:
        """End the guardian process."""
        await self._sampler.close()
        self._guardian.close()

    async def _run(self, launch: Launch, attempt: Attempt) -> Ended:
        """Run the program beside the file through which it may save its progress."""
        if attempt.progress is None:
            return await run_process(launch, attempt, self._guardian, self._sampler)
        file = CheckpointFile(attempt.progress)
        launch = replace(launch, env={**launch.env, f"{OWN_PREFIX}CHECKPOINT": file.path})
        try:
            ended = await run_process(launch, attempt, self._guardian, self._sampler)
        except BaseException:
            await uninterrupted(file.rescue())
            raise
        await file.close()
        return ended

    def _launch(self, payload: CommandPayload, attempt: Attempt) -> Launch:
        base, allow = work_directory(self._settings.work_dir), self._settings.allow_commands
        cwd = os.path.join(base, payload.cwd or "")
        env = {
            **self._inherited,
            TRACE_VARIABLE: traceparent(attempt.execution_id, attempt.task.id, attempt.attempt),
            **{name: str(value) for name, value in payload.env.items()},
            f"{OWN_PREFIX}EXECUTION_ID": attempt.execution_id,
            f"{OWN_PREFIX}TASK_ID": attempt.task.id,
            f"{OWN_PREFIX}ATTEMPT": str(attempt.attempt),
            f"{OWN_PREFIX}FENCE": str(attempt.fence),
            f"{OWN_PREFIX}IDEMPOTENCY_KEY": attempt.idempotency_key,
        }
        argv = [str(part) for part in payload.argv]
        if payload.shell is not None:
            argv = [_SHELL, "-c", payload.shell]
        program = find_program(argv[0], cwd, base, allow, env.get("PATH"))
        if EVERYTHING not in allow:
            require_harmless(payload.env, argv[0])
        if not os.path.isdir(cwd):
            raise TaskFailedError(
                f"The directory {cwd!r} in which {argv[0]!r} should run does not exist on this worker.",
                hint="Create it in an earlier task, or correct `cwd`.",
            )
        return Launch(
            argv=argv,
            program=program,
            cwd=cwd,
            env=env,
            stdin=payload.stdin.encode(),
            output_bytes_max=self._settings.output_bytes_max,
            stop_grace_s=self._settings.stop_grace_s,
        )


def _require_success(ended: Ended, check: bool, name: str) -> None:
    tail = ended.stderr.strip()[-_TAIL_CHARS:]
    said = f" Its standard error ends with: {tail}" if tail else ""
    if ended.exit_code < 0:
        raise TaskCrashedError(f"{name!r} was killed by {signal_name(-ended.exit_code)}.{said}")
    if check and ended.exit_code != 0:
        raise TaskFailedError(
            f"{name!r} ended with exit code {ended.exit_code}.{said}", kinds=(f"exit_{ended.exit_code}",)
        )
