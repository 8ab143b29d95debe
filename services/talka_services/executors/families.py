"""Finds and ends all processes of one run: its group, its descendants, and those that carry its mark.

A process can leave the group (``setsid``), lose its parent (a double fork) or
clear its environment; it is found unless it did all three.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator

import psutil

from talka_services.executors.environment import RUN_VARIABLE

_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
_POLL_S = 0.01
_LOOK_S = 0.5
_ROUNDS_MAX = 5
"""A process may fork while we look; each round ends what the one before could not see."""


def members(leader: int, run: str) -> set[psutil.Process]:
    """Return the living processes of the run that ``leader`` (a process id) began."""
    found: set[psutil.Process] = set()
    try:
        top = psutil.Process(leader)
        found.update([top, *top.children(recursive=True)])
    except psutil.NoSuchProcess:
        # The leader has ended; its descendants are found by group and mark.
        pass
    found.update(_marked(leader, run))
    return {process for process in found if _is_alive(process)}


def signal_all(leader: int, processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to the leader's group, and to each of the processes that are outside of it.

    None gets it twice: many programs take a second SIGTERM for impatience.
    """
    signal_group(leader, number)
    for process in processes:
        try:
            if os.getpgid(process.pid) != leader:
                process.send_signal(number)
        except (psutil.Error, OSError):
            # It ended since we looked, which is what we want of it.
            continue


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to the process group of ``leader``, if any of it is left."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        # Nothing of the group is left, or only processes that are ending.
        return


def kill(leader: int, run: str, known: Iterable[psutil.Process] = ()) -> None:
    """End the whole run with SIGKILL, with it the ``known`` processes that are still alive.

    Blocks for some milliseconds: call it in a thread.
    """
    remaining = set(known)
    for _ in range(_ROUNDS_MAX):
        remaining |= members(leader, run)
        signal_all(leader, remaining, signal.SIGKILL)
        remaining = wait_for_end(remaining, _LOOK_S)
        if not remaining:
            return


def wait_for_end(processes: Iterable[psutil.Process], seconds: float) -> set[psutil.Process]:
    """Block until the processes have ended or the time is over; return those that live.

    They are looked at rather than waited for: waiting for a child of ours
    would take its exit code away from the loop, which waits for it too.
    """
    end = time.monotonic() + seconds
    remaining = {process for process in processes if _is_alive(process)}
    while remaining and time.monotonic() < end:
        time.sleep(_POLL_S)
        remaining = {process for process in remaining if _is_alive(process)}
    return remaining


def _marked(leader: int, run: str) -> Iterator[psutil.Process]:
    """Find the processes in the leader's group or with the run's mark, wherever they descend from."""
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            if os.getpgid(pid) == leader or process.environ().get(RUN_VARIABLE) == run:
                yield process
        except (psutil.Error, OSError):
            # It has ended, or is another user's and so none of ours.
            continue


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in _ENDED
    except psutil.NoSuchProcess:
        return False
