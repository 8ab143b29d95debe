"""``execution.<id>``: what attempts were seen to use of a machine."""

from __future__ import annotations

from msgspec import Struct

from talka_protocols.events.fact import Fact


class Usage(Struct, frozen=True, omit_defaults=True, gc=False):
    """What an attempt used, as its worker saw it; None for what could not be seen.

    ``cpu_ms`` is processor time, of user and system, and ``memory_mb`` the most
    MiB that its processes were seen to hold together; both are sampled. Only an
    attempt with processes of its own has a memory that can be told from others'.
    ``gpus`` is the most GPUs that its processes were seen on at once, and
    ``gpu_memory_mb`` the most MiB that they held there.
    """

    wall_ms: int = 0
    cpu_ms: int | None = None
    memory_mb: float | None = None
    gpus: int | None = None
    gpu_memory_mb: float | None = None

    @property
    def cores(self) -> float | None:
        """Return how many cores it kept busy on average."""
        return None if self.cpu_ms is None or not self.wall_ms else self.cpu_ms / self.wall_ms


class Overuse(Struct, frozen=True, gc=False):
    """More of a resource was used than the task asks for."""

    resource: str
    asked: float
    used: float


class TaskUsageMeasured(Fact, frozen=True, gc=False):
    """An attempt that ended, however it did, was measured while it ran."""

    task_id: str
    attempt: int
    usage: Usage
    overuse: tuple[Overuse, ...] = ()
