"""How long a program of the documentation may take, whatever else the machine does meanwhile.

A page's commands start dozens of interpreters, so what bounds them on a busy
machine is the processors that they are given, not how long anybody waits.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time

import psutil

BUSY = 0.9
"""The share of the processors in use from which on a program is taken to wait for one."""
POLL_S = 0.25


class Patience:
    """A limit on a session's time: seconds of the clock, or of its processors while the machine is busy."""

    def __init__(self, session: int, limit_s: float) -> None:
        self.spent_s = 0.0
        self._session = session
        self._limit_s = limit_s
        self._seen_at = time.monotonic()
        self._used_s = self._session_time()
        psutil.cpu_percent()

    def is_over(self) -> bool:
        """Count what has passed since the last call, and tell whether that was too much."""
        now, used_s = time.monotonic(), self._session_time()
        is_busy = psutil.cpu_percent() >= 100 * BUSY
        # What ends is no longer counted, so the sum may fall.
        self.spent_s += max(0.0, used_s - self._used_s) if is_busy else now - self._seen_at
        self._seen_at, self._used_s = now, used_s
        return self.spent_s > self._limit_s

    def _session_time(self) -> float:
        """Return the processor time of the session's processes and of those that they have seen end."""
        total = 0.0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == self._session:
                    times = process.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
        return total


def communicate(process: subprocess.Popen[str], limit_s: float) -> str:
    """Return what a program that leads a session prints until it ends.

    Raises:
        subprocess.TimeoutExpired: it took too long.
    """
    patience = Patience(process.pid, limit_s)
    while True:
        try:
            return process.communicate(timeout=POLL_S)[0]
        except subprocess.TimeoutExpired:
            if patience.is_over():
                raise
