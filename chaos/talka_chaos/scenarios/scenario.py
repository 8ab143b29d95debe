"""One scenario: what is broken and healed again, on which platform, and what this takes of the machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from talka_chaos.processes import Cluster
from talka_chaos.scenarios.older import OLDER, has_commit
from talka_services.client import Orchestrator

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class Need(StrEnum):
    """What a scenario takes of the machine."""

    LINUX = "Linux"
    ROOT = "root, to mount file systems or to make network namespaces"
    THROTTLE = "the blkio controller of cgroup v1"
    FAKETIME = "libfaketime (Debian's package faketime)"
    HISTORY = "a clone of the repository that has the older version"


THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")


def missing(needs: frozenset[Need]) -> list[Need]:
    """Return what of this the machine does not have."""
    is_root = os.geteuid() == 0 and all(map(shutil.which, ("mount", "mkfs.ext4", "ip")))
    has = {
        Need.LINUX: sys.platform == "linux",
        Need.ROOT: is_root,
        Need.THROTTLE: THROTTLE.exists(),
        Need.FAKETIME: FAKETIME.exists(),
        Need.HISTORY: Need.HISTORY in needs and has_commit(OLDER),
    }
    return [need for need in Need if need in needs and not has[need]]


async def nothing_more(_orchestrator: Orchestrator) -> list[str]:
    """Check nothing beyond what is checked of every scenario."""
    return []


@dataclass(frozen=True)
class Staged:
    """A platform that was set up and not started, and how it is broken and healed.

    ``inject`` returns when everything is healed, and raises ``AssertionError`` if the fault did not
    happen. ``check`` returns violations of what only this scenario promises. The workers are
    ``workers`` unless the stage has added its own. ``most`` executions arrive until it is healed,
    ``live`` of them at once.
    """

    cluster: Cluster
    inject: Callable[[Orchestrator], Awaitable[None]]
    check: Callable[[Orchestrator], Awaitable[list[str]]] = nothing_more
    workers: tuple[str, ...] = ("w1", "w2")
    most: int = 20
    live: int = 20


@dataclass(frozen=True)
class Scenario:
    """A scenario by name; ``fault`` says what is done, ``stage`` sets it up in a directory."""

    name: str
    fault: str
    stage: Callable[[Path], AbstractAsyncContextManager[Staged]]
    needs: frozenset[Need] = field(default_factory=frozenset[Need])


async def command(*words: str, most: int = 0, within_s: float = 60.0) -> str:
    """Run a program to its end and return what it printed; ``most`` is the greatest code it may end with.

    Raises:
        RuntimeError: it failed, with what it said.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(within_s):
        said, complained = await process.communicate()
    if process.returncode not in range(most + 1):
        raise RuntimeError(
            f"{' '.join(words)} ended with {process.returncode}: {complained.decode().strip()}"
        )
    return said.decode()
