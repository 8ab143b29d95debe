"""Where workloads run: an embedded platform on a fresh directory, or one that runs already."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from talka_services.bench.measure import Machine, Meter, file_system, machine
from talka_services.client import Access, Orchestrator, connect, local
from talka_services.embedded import Durability
from talka_services.embedded.directory import DataDirectory

SERVER_STOP_S = 20.0
POLL_S = 0.05


class Stage(Struct, frozen=True):
    """A platform to measure, and what is known of it."""

    orchestrator: Orchestrator
    machine: Machine
    settings: dict[str, str]
    server_processes: Callable[[], Iterable[int]]

    def meter(self) -> Meter:
        """Return a meter over this process, its children, and the embedded server with its guard."""
        return Meter([os.getpid()], self.server_processes)


@asynccontextmanager
async def embedded(beside: Path, durability: Durability) -> AsyncGenerator[Stage]:
    """Run a platform on a fresh directory, on the same disk as ``beside``, and remove it afterwards."""
    with _fresh_directory(beside) as name:
        directory = DataDirectory(Path(name))
        async with local(data_dir=Path(name), durability=durability) as orchestrator:
            facts = directory.server()
            assert facts is not None, "the embedded server of a running platform has facts"

            def processes() -> tuple[int, ...]:
                now = directory.server()
                return (now.pid, now.guard) if now else ()

            settings = {
                "platform": "embedded: server, services and one worker",
                "durability": durability,
                "file_system": file_system(name),
            }
            yield Stage(orchestrator, machine(facts.url), settings, processes)
        await _left(directory)


async def _left(directory: DataDirectory) -> None:
    """Return when the server of a directory is gone, so that nobody writes into it while it is removed."""
    async with asyncio.timeout(SERVER_STOP_S):
        # The guard belongs to nobody who could tell us; its lock does.
        while directory.is_guarded():  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)


def _fresh_directory(beside: Path) -> tempfile.TemporaryDirectory[str]:
    place = beside.expanduser().resolve().parent
    place.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".talka-bench-", dir=place)


@asynccontextmanager
async def remote(server: str, namespace: str, access: Access | None = None) -> AsyncGenerator[Stage]:
    """Use a running platform, of which only this client's processor time can be seen."""
    async with await connect(server, namespace=namespace, access=access) as orchestrator:
        settings = {"platform": f"running at {server}; CPU is the client's alone", "durability": "unknown"}
        yield Stage(orchestrator, machine(server), settings, tuple)
