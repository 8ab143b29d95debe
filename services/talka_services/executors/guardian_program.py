"""The guardian's program: waits for the worker's end of a pipe to close, then ends what was left behind.

It is run by path with ``-I -S``, so it starts in milliseconds and imports
nothing of ours. Each line on its standard input is ``+`` or ``-`` and the id
of a process group to end, or no longer to end, when the worker dies.
"""

from __future__ import annotations

import os
import signal
import sys


def watch() -> None:
    """Follow the worker's lines until it is gone, then kill every group still on the list."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    while line := sys.stdin.buffer.readline():
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            # It ended with the worker.
            continue


if __name__ == "__main__":
    watch()
