"""The GPUs of this machine, and which process holds how much of them, as NVIDIA's library tells."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from talka_services.telemetry import get_logger

MEBIBYTE = 2**20
NOTHING: Mapping[int, dict[int, float]] = MappingProxyType({})

logger = get_logger(__name__)


class Held(Struct, frozen=True):
    """What a session holds of GPUs: on how many of them it is, and MiB of their memory together."""

    gpus: int
    memory_mb: float


class Devices:
    """Asks the driver, if the extra ``gpu`` is installed and there is one; else it never sees anything.

    In a container the driver names processes as its host does, so nothing of
    them is seen there unless the container shares the host's process ids.
    """

    def __init__(self) -> None:
        self._library: Any = None
        self._handles: list[Any] = []
        try:
            library = import_module("pynvml")
        except ImportError:
            return
        try:
            library.nvmlInit()
            count = library.nvmlDeviceGetCount()
            self._handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except library.NVMLError as error:
            logger.debug("gpu.none", error=str(error))
            return
        self._library = library

    def by_process(self) -> Mapping[int, dict[int, float]]:
        """Return MiB by device and by process id; blocks for a moment.

        A process whose memory the driver does not tell holds 0 MiB.
        """
        if not self._handles:
            return NOTHING
        found: dict[int, dict[int, float]] = {}
        for device, handle in enumerate(self._handles):
            try:
                running = self._library.nvmlDeviceGetComputeRunningProcesses(handle)
            except self._library.NVMLError as error:
                # A device that falls off the bus is its tasks' trouble; the other devices are still seen.
                logger.debug("gpu.silent", device=device, error=str(error))
                continue
            for process in running:
                found.setdefault(process.pid, {})[device] = (process.usedGpuMemory or 0) / MEBIBYTE
        return found


def held(by_process: Mapping[int, Mapping[int, float]], pids: list[int]) -> Held | None:
    """Return what these processes hold together; None if they are on no GPU."""
    theirs = [by_process[pid] for pid in pids if pid in by_process]
    if not theirs:
        return None
    return Held(
        len({device for each in theirs for device in each}), sum(sum(each.values()) for each in theirs)
    )
