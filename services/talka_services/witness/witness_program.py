"""The witness's program: waits until nothing of a worker is left, then starts whoever tells the pool.

It is run by path with ``-I -S``, so it starts in milliseconds and imports
nothing of ours. Each line on its standard input is the whole will as of then,
and an empty one says that there is none. The lifeline's end is the evidence:
the end of the standard input alone says only that the worker itself is gone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence

WAIT_S = 10.0
"""What is left of a worker after that is no matter of leases any more; the pool has learned by silence."""


def watch(lifeline: int, obituary: Sequence[str]) -> None:
    """Follow the worker's lines until it is gone, and hand the last one on when all else is gone too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    will = b""
    for line in sys.stdin.buffer:
        # A line that the worker's death has cut short is no will.
        will = line if line.endswith(b"\n") else will
    if will.strip() and _is_cut(lifeline):
        # Why it could not be told, the obituary itself has said.
        sys.exit(subprocess.run(obituary, input=will, check=False).returncode)  # noqa: S603  (our own program)


def _is_cut(lifeline: int) -> bool:
    """Wait for the end of the lifeline, to which nobody has any business to write."""
    readable, _, _ = select.select([lifeline], [], [], WAIT_S)
    return bool(readable) and os.read(lifeline, 1) == b""


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2:])
