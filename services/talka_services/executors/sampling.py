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

import psutil

from talka_protocols.errors import MemoryExceededError
from talka_protocols.ports import Attempt

PERIOD_S = 0.1
"""One pass over some hundred processes takes about a thousandth of a second of one core."""
MEBIBYTE = 2**20


class Watch:
    """One attempt whose processes are looked at; times count from the first look at its leader.

    ``on_excess`` is called once, in the loop, when they hold more than the limit.
    """

    def __init__(
        self, sampler: Sampler, leader: int, attempt: Attempt, on_excess: Callable[[], None]
    ) -> None:
        self.sampler = sampler
        self.leader = leader
        self.attempt = attempt
        self.on_excess = on_excess
        self.limit_mb = attempt.task.resources.memory_mb
        self.held_mb = 0.0
        """What they held when it was too much, else 0."""
        self.began_s: float | None = None
        self.cpu_s = 0.0
        self.is_fresh = False
        """Whether the leader has run for nobody else, so that all its time is this attempt's."""

    @property
    def is_exceeded(self) -> bool:
        """Tell whether they were seen to hold more than the limit."""
        return self.held_mb > 0

    def error(self) -> MemoryExceededError:
        """Return why the attempt was stopped."""
        return MemoryExceededError(
            f"The task {self.attempt.task.id!r} held {self.held_mb:.0f} MiB of memory; it asks for "
            f"{self.limit_mb:g} and was stopped.",
            hint="Raise its memory_mb, or let it hold less at a time.",
        )

    def saw(self, cpu_s: float, memory_mb: float) -> None:
        """Note one look at all its processes together; processor time that ended with one is not lost."""
        if self.began_s is None:
            self.began_s = 0.0 if self.is_fresh else cpu_s
        used_s = max(self.cpu_s, cpu_s - self.began_s)
        meter = self.attempt.meter
        if meter is not None:
            meter.add_cpu(used_s - self.cpu_s)
            if memory_mb:
                meter.see_memory(memory_mb)
        self.cpu_s = used_s


class Sampler:
    """Looks at what is watched while anything is."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self._period_s = period_s
        self._watches: dict[int, Watch] = {}
        self._looking: asyncio.Task[None] | None = None

    def watch(
        self, leader: int, attempt: Attempt, on_excess: Callable[[], None], *, is_fresh: bool = False
    ) -> Watch:
        """Begin to look at the session that the process ``leader`` leads."""
        watch = self._watches[leader] = Watch(self, leader, attempt, on_excess)
        watch.is_fresh = is_fresh
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return watch

    def forget(self, watch: Watch) -> None:
        """Look at it no more."""
        if self._watches.get(watch.leader) is watch:
            del self._watches[watch.leader]

    async def close(self) -> None:
        """Look at nothing any more."""
        self._watches.clear()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None

    async def _look(self) -> None:
        while self._watches:
            await asyncio.sleep(self._period_s)
            watches = list(self._watches.values())
            limits = {watch.leader: watch.limit_mb for watch in watches}
            seen = await asyncio.to_thread(sample, limits)
            for watch in watches:
                if watch.leader in seen and self._watches.get(watch.leader) is watch:
                    self._saw(watch, *seen[watch.leader])
        self._looking = None

    @staticmethod
    def _saw(watch: Watch, cpu_s: float, memory_mb: float) -> None:
        watch.saw(cpu_s, memory_mb)
        if watch.limit_mb and memory_mb > watch.limit_mb and not watch.is_exceeded:
            watch.held_mb = memory_mb
            watch.on_excess()


def sample(limits: dict[int, float]) -> dict[int, tuple[float, float]]:
    """Return processor seconds and MiB of memory of each session, by its leader; blocks for a moment.

    Resident memory is added up, which counts what processes share more than
    once: where the sum is over the session's limit, each process is charged
    only its share of what it shares.
    """
    found: dict[int, tuple[float, float]] = {}
    for leader, processes in _sessions(limits).items():
        cpu_s, resident = 0.0, 0
        for process in processes:
            cpu, memory = _seen(process)
            cpu_s, resident = cpu_s + cpu, resident + memory
        limit = limits[leader] * MEBIBYTE
        if limit and resident > limit and len(processes) > 1:
            resident = min(resident, sum(map(_proportional, processes)))
        found[leader] = (cpu_s, resident / MEBIBYTE)
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
