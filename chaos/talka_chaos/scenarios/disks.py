"""Disks that fill up, fail, are slow, or forget what was not synced when the power goes."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from talka_chaos.processes import NATS, Cluster
from talka_chaos.scenarios.scenario import THROTTLE, Staged, command
from talka_services.client import Orchestrator

DISK_BYTES = 256 * 2**20
BLOCK_BYTES = 2**16
BROKEN_S = 4.0
SLOW_WRITES_PER_S = 40
SLOW_S = 6.0


class Disk:
    """An ext4 in a file, mounted through a loop device; its server keeps its streams in ``store``."""

    def __init__(self, directory: Path) -> None:
        self.place = directory / "disk"
        self.store = self.place / "store"
        self._directory = directory
        self._image = directory / "disk.img"

    async def make(self) -> None:
        """Make and mount it."""
        self.place.mkdir()
        with self._image.open("wb") as image:
            image.truncate(DISK_BYTES)
        await command("mkfs.ext4", "-q", "-F", str(self._image))
        await self.mount()

    async def mount(self) -> None:
        """Mount it."""
        await command("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.place))

    async def unmount(self) -> None:
        """Take it off; nothing may use it any more."""
        await command("umount", str(self.place))

    async def lose_power(self) -> None:
        """Leave what the device held at the moment of the call; whoever writes must stand still meanwhile."""
        copy = self._directory / "copy.img"
        await asyncio.to_thread(shutil.copyfile, self._image, copy)
        self._image = copy

    async def fail(self) -> None:
        """Let the kernel give up on the file system, as after an error of the device: it can only be read."""
        await command("mount", "-o", "remount,abort", str(self.place))

    async def repair(self) -> None:
        """Check and repair it, while it is not mounted."""
        await command("e2fsck", "-y", "-f", str(self._image), most=1)

    @contextmanager
    def full(self) -> Generator[None]:
        """Let not one block be free, until the context ends."""
        filler = self.place / "filler"
        with filler.open("wb", buffering=0) as file:
            _write_until_full(file.fileno())
        try:
            yield
        finally:
            filler.unlink()

    async def slow(self, writes_per_s: int) -> None:
        """Let the device take so many writes in a second; 0 is as many as it can."""
        source = (await command("findmnt", "-n", "-o", "SOURCE", str(self.place))).strip()
        await asyncio.to_thread(_throttle, Path(source).name, writes_per_s)


def _throttle(device: str, writes_per_s: int) -> None:
    number = Path(f"/sys/block/{device}/dev").read_text().strip()
    THROTTLE.write_text(f"{number} {writes_per_s}")


def _write_until_full(file: int) -> None:
    block = bytes(BLOCK_BYTES)
    while block:
        try:
            os.write(file, block)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # The last blocks that are free take less than was tried.
            block = block[: len(block) // 2]
    os.fsync(file)


@asynccontextmanager
async def _on_a_disk(directory: Path) -> AsyncGenerator[tuple[Cluster, Disk]]:
    disk = Disk(directory)
    await disk.make()
    try:
        yield Cluster(directory, store=disk.store), disk
    finally:
        await disk.unmount()


@asynccontextmanager
async def full_disk(directory: Path) -> AsyncGenerator[Staged]:
    """Fill the server's disk to the last block; then make room and start the server anew, by hand."""
    async with _on_a_disk(directory) as (cluster, disk):

        async def inject(_orchestrator: Orchestrator) -> None:
            with disk.full():
                await asyncio.sleep(BROKEN_S)
                assert "no space left on device" in cluster[NATS].said(), "the server never met a full disk"
            cluster[NATS].kill()
            await cluster.start(NATS)

        yield Staged(cluster, inject)


@asynccontextmanager
async def read_only_disk(directory: Path) -> AsyncGenerator[Staged]:
    """Let the server's disk become read-only by an error; then repair it and start the server anew."""
    async with _on_a_disk(directory) as (cluster, disk):

        async def inject(_orchestrator: Orchestrator) -> None:
            await disk.fail()
            await asyncio.sleep(BROKEN_S)
            assert "read-only file system" in cluster[NATS].said(), "the server never met a read-only disk"
            if cluster[NATS].is_running:
                cluster[NATS].kill()
            await disk.unmount()
            await disk.repair()
            await disk.mount()
            await cluster.start(NATS)

        yield Staged(cluster, inject)


@asynccontextmanager
async def power_loss(directory: Path) -> AsyncGenerator[Staged]:
    """Stop everything at one instant and start it on what had reached the device by then."""
    async with _on_a_disk(directory) as (cluster, disk):

        async def inject(_orchestrator: Orchestrator) -> None:
            cluster[NATS].freeze()
            await disk.lose_power()
            for program in cluster.programs.values():
                program.kill()
            await disk.unmount()
            await disk.mount()
            await cluster.start()

        yield Staged(cluster, inject)


@asynccontextmanager
async def slow_disk(directory: Path) -> AsyncGenerator[Staged]:
    """Let the server's disk take a few dozen writes in a second, so that each sync takes long."""
    async with _on_a_disk(directory) as (cluster, disk):

        async def inject(_orchestrator: Orchestrator) -> None:
            await disk.slow(SLOW_WRITES_PER_S)
            try:
                await asyncio.sleep(SLOW_S)
            finally:
                await disk.slow(0)

        yield Staged(cluster, inject)
