"""Ends the process groups of tasks when the worker dies, even by kill -9.

A signal on the parent's death (Linux's PR_SET_PDEATHSIG) reaches only the
direct child, exists on one system only, and would need ``preexec_fn``, which
turns off the fast way of starting processes. So one small process per executor
holds the other end of a pipe; when it sees the worker's end close it kills the
groups that are on its list. It costs one short write per process started.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from talka_services.executors import lifelines

_PROGRAM = str(Path(__file__).with_name("guardian_program.py"))


class Guardian:
    """Keeps the list of process groups that must not outlive this process."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The guardian's own process id, None before it is needed."""
        return self._process.pid if self._process is not None else None

    def watch(self, group: int) -> None:
        """Have the group killed should this process die."""
        self._groups.add(group)
        self._tell(b"+%d\n" % group)

    def forget(self, group: int) -> None:
        """Take a group that has ended off the list."""
        if group in self._groups:
            self._groups.discard(group)
            self._tell(b"-%d\n" % group)

    def close(self) -> None:
        """End the guardian; groups still on its list are killed."""
        self._groups.clear()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def _tell(self, line: bytes) -> None:
        try:
            self._write(line)
        except BrokenPipeError:
            # Somebody ended the guardian: a new one gets the whole list.
            self._end()
            self._write(b"".join(b"+%d\n" % group for group in self._groups))

    def _write(self, lines: bytes) -> None:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-I", "-S", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=lifelines.held(),
                start_new_session=True,
                cwd="/",
            )
        assert self._process.stdin is not None
        self._process.stdin.write(lines)
