"""Power is lost in the middle of a run: what was acknowledged is on the disk, and the run goes on from it.

Method: the server keeps its streams on a loop-mounted ext4. While a run is at
work the server is stopped by SIGSTOP and the device's image is copied: the copy
holds exactly what has reached the device, and nothing of the page cache. All
processes are killed, the copy is mounted, and everything starts again on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from talka import Task, WorkflowBuilder, connect
from talka_chaos.processes import NATS, Cluster
from talka_chaos.records import pool_is_empty, record_of, until_done
from talka_protocols.ports import StoredCommit
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import EXECUTION, PLAN, POOL, SHARD, WORKER
from talka_protocols.workflow import Workflow
from talka_services.service import Node

log = logging.getLogger(__name__)

TASKS = 500
BACK = "power"
RUN_S = 60
DISK_BYTES = 512 * 2**20

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("power_loss")]


class Disk:
    """An ext4 in a file, mounted through a loop device."""

    def __init__(self, directory: Path) -> None:
        self.mount_point = directory / "disk"
        self.mount_point.mkdir()
        self._image = directory / "first.img"
        with self._image.open("wb") as image:
            image.truncate(DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()

    def copy(self, directory: Path) -> Path:
        """Copy what has reached the device."""
        copy = directory / "second.img"
        shutil.copyfile(self._image, copy)
        return copy

    def replace(self, image: Path) -> None:
        """Throw the mounted file system away and mount another."""
        self.unmount()
        self._image = image
        self._mount()

    def unmount(self) -> None:
        """Take it off."""
        _run("umount", str(self.mount_point))

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system whose device can be copied while it is in use."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    try:
        disk = Disk(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device can be mounted here: {error.stderr.decode().strip()}")
    yield disk
    disk.unmount()


@pytest.fixture
def store(disk: Disk) -> Path:
    """The server of ``cluster`` keeps its streams on that disk."""
    return disk.mount_point / "store"


def random_graph(seed: int) -> Workflow:
    """Return 500 short sleeps, each after at most two of the 100 before it, and one that waits for a signal.

    So on no machine is it over before the power goes.
    """
    draw = random.Random(seed)
    builder = WorkflowBuilder("power").add_task(Task("back", "signal", payload={"name": BACK}))
    for number in range(TASKS):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": draw.uniform(0.02, 0.06)}))
        earlier = range(max(0, number - 100), number)
        for before in draw.sample(earlier, min(len(earlier), draw.randint(0, 2))):
            builder.add_dependency(f"t{before}", f"t{number}")
    return builder.build()


async def everything(cluster: Cluster) -> dict[str, Sequence[StoredCommit]]:
    """Read all logs: plans, executions, pools, shards, workers."""
    async with await Node.open(cluster.url) as node:
        stored = node.ports.log
        names = [name for kind in (EXECUTION, PLAN, POOL, SHARD, WORKER) for name in await stored.names(kind)]
        return {str(name): await stored.read(name) for name in names}


async def lose_power(cluster: Cluster, disk: Disk, directory: Path, *, actors_stay: bool) -> None:
    """Leave of the disk what the device held at one instant; afterwards the server starts on that."""
    cluster[NATS].freeze()
    image = disk.copy(directory)
    if not actors_stay:
        for name, program in cluster.programs.items():
            if name != NATS:
                program.kill()
    cluster[NATS].kill()
    disk.replace(image)
    await cluster.start(NATS)
    if not actors_stay:
        await cluster.start(*(name for name in cluster.programs if name != NATS))


@pytest.mark.parametrize(
    ("done", "actors_stay"), [(20, False), (200, False), (400, False), (150, True)], ids=str
)
async def test_acknowledged_commits_survive(
    cluster: Cluster, disk: Disk, tmp_path: Path, done: int, actors_stay: bool
) -> None:
    """Every commit that anybody could read before the power went is there afterwards, and the run ends."""
    for worker_id in ("w1", "w2"):
        cluster.add_worker(worker_id, "--slots", "16")
    await cluster.start()
    workflow = random_graph(done)
    async with await connect(cluster.url) as orchestrator:
        execution_id = await orchestrator.submit_workflow(workflow)
        await until_done(orchestrator, execution_id, done)
        before = await everything(cluster)
        was = await record_of(orchestrator, execution_id)
        await lose_power(cluster, disk, tmp_path, actors_stay=actors_stay)
        await orchestrator.signal(execution_id, BACK)
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        after = await everything(cluster)
        now = await record_of(orchestrator, execution_id)
        assert await pool_is_empty(orchestrator, RUN_S) == ""
    lost = {
        name: commits
        for name, commits in before.items()
        if list(after.get(name, ()))[: len(commits)] != list(commits)
    }
    more = sum(task.attempts for task in result.tasks.values()) - len(result.tasks)
    log.info("power lost at %d done and %d logs; %d attempts more", was.done, len(before), more)
    assert 0 < was.done < len(result.tasks)
    assert lost == {}
    assert now.began_as(was)
    assert result.status is ExecutionState.SUCCEEDED
    assert now.faults(frozenset(task.id for task in workflow.tasks)) == []
    assert cluster.tracebacks() == []
