"""Pipes that every process of this worker keeps open, so that their ends say that none of them is left.

The kernel closes a process's files when it ends, however it ends. Whoever reads
a lifeline sees its end when this process, the processes of its tasks and their
guardians are all gone, and no sooner. Nothing is ever written to one.
"""

from __future__ import annotations

_writers: set[int] = set()


def hold(writer: int) -> None:
    """Have every process that is started from now on hold this end of a pipe."""
    _writers.add(writer)


def let_go(writer: int) -> None:
    """Hand it to no more processes."""
    _writers.discard(writer)


def held() -> tuple[int, ...]:
    """Return the file descriptors to hand to a process that is about to be started."""
    return tuple(sorted(_writers))
