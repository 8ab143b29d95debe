"""Looks at the processes of running attempts again and again: processor time, memory, and its limit.

All of them are looked at in one pass, in a thread, and only while there are
any. A process belongs to the session that its attempt's first process leads;
one that began a session of its own is not seen. What ends between two passes
is seen through the parent that waited for it; a process that lives shorter
than a pass takes is not seen at all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Protocol

import psutil
from msgspec import Struct

from talka_protocols.errors import MemoryExceededError
from talka_protocols.ports import Attempt
from talka_services.executors.devices import Devices, Held, held

PERIOD_S = 0.1
"""One pass over some hundred processes takes about a thousandth of a second of one core."""
MEBIBYTE = 2**20


class Seen(Struct, frozen=True):
    """A session as found: seconds of processor time so far, MiB of memory now, and what it has of GPUs."""

    cpu_s: float
    memory_mb: float
    held: Held | None = None


class Watched(Protocol):
    """A session of processes that is looked at while it ``is_active``; ``limit_mb`` is 0 without a limit."""

    @property
    def leader(self) -> int:
        """The process id that leads the session."""
        ...

    @property
    def is_active(self) -> bool:
        """Tell whether it is to be looked at now."""
        ...

    @property
    def limit_mb(self) -> float:
        """The most MiB that its processes may hold together."""
        ...

    def saw(self, seen: Seen) -> None:
        """Take what was seen of it."""
        ...


class CommandWatch:
    """The session of one command; ``on_excess`` is called once, when it holds more than it may."""

    is_active = True

    def __init__(self, leader: int, attempt: Attempt, on_excess: Callable[[], None]) -> None:
        self.leader = leader
        self.limit_mb = attempt.task.resources.memory_mb
        self.held_mb = 0.0
        """What it held when that was too much, else 0."""
        self._attempt = attempt
        self._on_excess = on_excess
        self._cpu_s = 0.0

    @property
    def is_exceeded(self) -> bool:
        """Tell whether it was seen to hold more than it may."""
        return self.held_mb > 0

    def error(self) -> MemoryExceededError:
        """Return why it was stopped."""
        return memory_exceeded(self._attempt, self.held_mb)

    def saw(self, seen: Seen) -> None:
        """Count what was used, and call out once if it is too much memory."""
        meter = self._attempt.meter
        if meter is not None:
            meter.add_cpu(max(0.0, seen.cpu_s - self._cpu_s))
            meter.see_memory(seen.memory_mb)
            if seen.held is not None:
                meter.see_gpus(seen.held.gpus, seen.held.memory_mb)
        # What a process used that nobody waited for leaves the sum; it has been counted.
        self._cpu_s = max(seen.cpu_s, self._cpu_s)
        if self.limit_mb and seen.memory_mb > self.limit_mb and not self.is_exceeded:
            self.held_mb = seen.memory_mb
            self._on_excess()


def memory_exceeded(attempt: Attempt, held_mb: float) -> MemoryExceededError:
    """Return why an attempt was stopped that held so many MiB."""
    return MemoryExceededError(
        f"The processes of the task {attempt.task.id!r} held {held_mb:.0f} MiB of memory, more than the "
        f"{attempt.task.resources.memory_mb:g} that it asks for, and were stopped.",
        hint="Raise its memory_mb, or let it hold less at a time.",
    )


class Sampler:
    """Looks at what is watched while any of it is active."""

    def __init__(self, period_s: float = PERIOD_S, devices: Devices | None = None) -> None:
        self._period_s = period_s
        self._devices = devices
        self._watched: dict[int, Watched] = {}
        self._looking: asyncio.Task[None] | None = None

    def watch(self, watched: Watched) -> None:
        """Look at it from now on, whenever it is active."""
        self._watched[watched.leader] = watched
        self.wake()

    def wake(self) -> None:
        """Begin to look again, because something has become active."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    def forget(self, watched: Watched) -> None:
        """Look at it no more."""
        self._watched.pop(watched.leader, None)

    async def close(self) -> None:
        """Look at nothing any more."""
        self._watched.clear()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None

    async def _look(self) -> None:
        try:
            while active := [watched for watched in self._watched.values() if watched.is_active]:
                await asyncio.sleep(self._period_s)
                limits = {watched.leader: watched.limit_mb for watched in active}
                seen = await asyncio.to_thread(self._sample, limits)
                for watched in active:
                    is_still = self._watched.get(watched.leader) is watched
                    if is_still and watched.leader in seen:
                        watched.saw(seen[watched.leader])
        finally:
            self._looking = None

    def _sample(self, limits: dict[int, float]) -> dict[int, Seen]:
        if self._devices is None:
            # Loading the driver's library takes some time, so it is done here, where nobody waits.
            self._devices = Devices()
        return sample(limits, self._devices)


def sample(limits: dict[int, float], devices: Devices) -> dict[int, Seen]:
    """Return what is seen of each session, by its leader; blocks for a moment.

    Resident memory is added up, which counts what processes share more than
    once: where the sum is over the session's limit, each process is charged
    only its share of what it shares.
    """
    found: dict[int, Seen] = {}
    on_gpus = devices.by_process()
    for leader, processes in _sessions(limits).items():
        cpu_s, resident = 0.0, 0
        for process in processes:
            cpu, memory = _seen(process)
            cpu_s, resident = cpu_s + cpu, resident + memory
        limit = limits[leader] * MEBIBYTE
        if limit and resident > limit and len(processes) > 1:
            resident = min(resident, sum(map(_proportional, processes)))
        gpus = held(on_gpus, [process.pid for process in processes])
        found[leader] = Seen(cpu_s, resident / MEBIBYTE, gpus)
    return found


def _sessions(leaders: Iterable[int]) -> dict[int, list[psutil.Process]]:
    members: dict[int, list[psutil.Process]] = {leader: [] for leader in leaders}
    for pid in psutil.pids():
        try:
            session = members.get(os.getsid(pid))
            if session is not None:
                session.append(psutil.Process(pid))
        except (psutil.Error, OSError):
            # It ended since we looked.
            continue
    return {leader: processes for leader, processes in members.items() if processes}


def _seen(process: psutil.Process) -> tuple[float, int]:
    try:
        with process.oneshot():
            times = process.cpu_times()
            waited_for = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            return times.user + times.system + waited_for, process.memory_info().rss
    except psutil.Error:
        # It ended since we looked; its time is its parent's once that has waited for it.
        return 0.0, 0


def _proportional(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", 0) or getattr(memory, "uss", 0) or memory.rss)
