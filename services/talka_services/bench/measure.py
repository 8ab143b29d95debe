"""What is measured around a workload: wall time, processor time of all our processes, and others' share."""

from __future__ import annotations

import os
import platform
import socket
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec
import psutil
from msgspec import Struct

ANSWER_S = 5.0


class Machine(Struct, frozen=True):
    """What the figures were taken on."""

    cores: int
    memory_mb: int
    kernel: str
    python: str
    nats_server: str


class Spread(Struct, frozen=True):
    """One figure over all repetitions."""

    unit: str
    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> Spread:
        """Return the spread of at least one value."""
        return cls(unit, statistics.median(values), min(values), max(values))


class Meter:
    """Context manager: wall seconds and processor seconds of some process trees and single processes.

    ``others`` is the share of the machine's processor time that everybody
    else used meanwhile.
    """

    def __init__(self, trees: Iterable[int], single: Callable[[], Iterable[int]] = tuple) -> None:
        self._trees = list(trees)
        self._single = single
        self.wall_s = 0.0
        self.cpu_s = 0.0
        self.others = 0.0

    def __enter__(self) -> Self:
        self._busy = _busy_s()
        self._cpu = self._used_s()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_s = time.perf_counter() - self._began
        self.cpu_s = self._used_s() - self._cpu
        foreign_s = _busy_s() - self._busy - self.cpu_s
        self.others = max(0.0, foreign_s / (self.wall_s * (os.cpu_count() or 1)))

    def _used_s(self) -> float:
        return sum(_tree_s(pid) for pid in self._trees) + sum(_own_s(pid) for pid in self._single())


def _tree_s(pid: int) -> float:
    """Return what a process, its living descendants and its collected children have used."""
    try:
        top = psutil.Process(pid)
        members = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_own_s(member.pid, with_collected=True) for member in members)


def _own_s(pid: int, *, with_collected: bool = False) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    used: float = times.user + times.system
    return used + (times.children_user + times.children_system if with_collected else 0.0)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def load() -> float:
    """Return how many processes wanted a core, averaged over the last minute."""
    return psutil.getloadavg()[0]


def machine(server: str) -> Machine:
    """Return the facts of this machine, and of the server at ``server`` (a URL)."""
    return Machine(
        cores=os.cpu_count() or 1,
        memory_mb=psutil.virtual_memory().total // 2**20,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        nats_server=server_version(server),
    )


class _Greeting(Struct, frozen=True):
    version: str = "unknown"


def server_version(server: str) -> str:
    """Return the version that a NATS server greets everybody with."""
    place = urlsplit(server)
    with socket.create_connection((place.hostname or "127.0.0.1", place.port or 4222), ANSWER_S) as peer:
        line = peer.makefile("rb").readline()
    return msgspec.json.decode(line.partition(b" ")[2], type=_Greeting).version


def file_system(path: str) -> str:
    """Return the type of the file system that holds a path."""
    mounts = [part for part in psutil.disk_partitions(all=True) if _is_below(path, part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _is_below(path: str, mountpoint: str) -> bool:
    return os.path.commonpath([os.path.realpath(path), mountpoint]) == mountpoint
