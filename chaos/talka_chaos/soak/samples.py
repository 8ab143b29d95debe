"""Samples what a soak watches: the memory and open handles of each process, and the streams' sizes."""

from __future__ import annotations

from pathlib import Path

import psutil
from msgspec import Struct, field

from talka_chaos.processes import Cluster
from talka_chaos.soak.flatness import Course, course_of
from talka_protocols.subjects import EXECUTION
from talka_services.client import Orchestrator
from talka_services.jetstream.api import call
from talka_services.jetstream.topology import streams

MIB = 2**20
ARCHIVED_BYTES = 1_500
"""What an archived execution may leave in the log for good."""
MEMORY = (0.25, 40.0)
HANDLES = (0.25, 20.0)
STREAM = (0.5, 4.0)
"""By which share a figure may grow, and by how much besides (MiB, handles, MiB)."""


class Samples(Struct):
    """The figures by name, each a list that grows with every sample."""

    figures: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    executions: list[int] = field(default_factory=list[int])

    def add(self, name: str, value: float) -> None:
        """Add one figure of a sample."""
        self.figures.setdefault(name, []).append(value)

    def courses(self) -> dict[str, Course]:
        """Return how each figure went; of the log, what archived executions leave for good is taken off."""
        found: dict[str, Course] = {}
        for name, sampled in sorted(self.figures.items()):
            values = sampled
            kind = name.partition(" ")[0]
            share, slack = {"memory": MEMORY, "handles": HANDLES, "stream": STREAM}[kind]
            if name == "stream log" and len(values) == len(self.executions):
                left = (ARCHIVED_BYTES * count / MIB for count in self.executions)
                values = [max(0.0, value - known) for value, known in zip(values, left, strict=True)]
            if (course := course_of(values, share=share, slack=slack)) is not None:
                found[name] = course
        return found


async def sample(samples: Samples, cluster: Cluster, orchestrator: Orchestrator) -> str:
    """Take one sample of everything that runs now, whole or not at all, and return it in words.

    Raises:
        ServerUnavailableError: the server cannot be asked, and nothing was added.
    """
    figures = _processes(cluster)
    connection = orchestrator.node.connection
    for wanted in streams(connection):
        answer = await call(connection, f"STREAM.INFO.{wanted['name']}")
        what = str(wanted["name"]).rpartition("_")[2]
        figures[f"stream {what}"] = answer.state.bytes / MIB
    executions = len(await orchestrator.histories.names(EXECUTION))
    for name, value in figures.items():
        samples.add(name, value)
    samples.executions.append(executions)
    return ", ".join(f"{name} {value:.0f}" for name, value in figures.items() if "handles" not in name)


def _processes(cluster: Cluster) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, program in cluster.programs.items():
        if not program.is_running:
            continue
        try:
            process = psutil.Process(program.pid)
            found[f"memory {name}"] = process.memory_info().rss / MIB
            found[f"handles {name}"] = process.num_fds()
        except psutil.NoSuchProcess:
            # It has just been killed.
            continue
    return found


def bytes_below(path: Path) -> int:
    """Return how much disk the files in a directory take, those below it included."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())
