"""What one attempt is seen to use."""

from __future__ import annotations

from talka_protocols.events import Usage

CPU_S_MIN = 0.01
"""Less processor time than that, and no memory seen, is not worth an event."""


class AttemptMeter:
    """Collects what an executor sees; most attempts show nothing, and then it costs nothing."""

    __slots__ = ("_cpu_s", "_gpu_memory_mb", "_gpus", "_memory_mb")

    def __init__(self) -> None:
        self._cpu_s: float | None = None
        self._memory_mb: float | None = None
        self._gpus: int | None = None
        self._gpu_memory_mb: float | None = None

    def add_cpu(self, seconds: float) -> None:
        """Count processor time."""
        self._cpu_s = (self._cpu_s or 0.0) + seconds

    def see_memory(self, megabytes: float) -> None:
        """Keep the most MiB that were held together."""
        self._memory_mb = max(self._memory_mb or 0.0, megabytes)

    def see_gpus(self, count: int, megabytes: float) -> None:
        """Keep the most GPUs, and the most MiB of their memory, that were held together."""
        self._gpus = max(self._gpus or 0, count)
        self._gpu_memory_mb = max(self._gpu_memory_mb or 0.0, megabytes)

    def usage(self, wall_ms: int) -> Usage | None:
        """Return what was seen, or None if that is next to nothing."""
        if self._memory_mb is None and (self._cpu_s or 0.0) < CPU_S_MIN:
            return None
        cpu_ms = None if self._cpu_s is None else round(self._cpu_s * 1000)
        memory_mb = None if self._memory_mb is None else round(self._memory_mb, 1)
        gpu_memory_mb = None if self._gpu_memory_mb is None else round(self._gpu_memory_mb, 1)
        return Usage(wall_ms, cpu_ms, memory_mb, self._gpus, gpu_memory_mb)
