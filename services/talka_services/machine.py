"""What this machine has, as far as the control groups of this process let it have it.

A container, or a unit of systemd, sees all cores and all memory of its machine, and is slowed
down or killed when it uses more than its control group may. Each group above it bounds it, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path, PurePosixPath

import psutil

MOUNT = "sys/fs/cgroup"


def machine_capacity(root: Path = Path("/")) -> dict[str, float]:
    """Return what a worker may offer here: cores, MiB of memory, MiB of free disk.

    Args:
        root: Where the file systems of the control groups are found; for tests.
    """
    memory = min([psutil.virtual_memory().total, *map(_memory, _groups(root))])
    return {
        "cpu_cores": usable_cores(root),
        "memory_mb": float(memory // 2**20),
        "disk_mb": float(psutil.disk_usage("/").free // 2**20),
    }


def beyond_machine(offered: Mapping[str, float], has: Mapping[str, float]) -> str | None:
    """Return what to say of an offer that is larger than the machine, None if it is not."""
    excess = [
        f"{offered[name]:g} {name} of {has[name]:g}" for name in has if offered.get(name, 0.0) > has[name]
    ]
    if not excess:
        return None
    return (
        f"It offers more than this machine has: {', '.join(excess)}. Tasks that use what they ask for will "
        "slow each other down, or run out of it. Offer less (--capacity), unless they mostly wait."
    )


def usable_cores(root: Path = Path("/")) -> float:
    """Return how many cores this process may use, which in a control group may be a part of one."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(affine), *map(_cores, _groups(root))])


def _groups(root: Path) -> Iterator[Path]:
    """Yield the control groups of this process and those above, of version 1 and 2."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        controllers = [name for name in ("cpu", "memory") if name in names.split(",")] if names else [""]
        # Inside a container the path may be the one outside of it: then only its beginning is there.
        for name in controllers:
            top = root / MOUNT / name
            inner = PurePosixPath(path.lstrip("/"))
            yield from (top / part for part in (inner, *inner.parents))


def _cores(group: Path) -> float:
    quota, _, period = _read(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(group / "cpu.cfs_quota_us").strip()
        period = _read(group / "cpu.cfs_period_us").strip()
    # Where there is no bound it is "max" in version 2, and -1 in version 1.
    return int(quota) / int(period) if quota.isdecimal() else inf


def _memory(group: Path) -> float:
    most = _read(group / "memory.max").strip() or _read(group / "memory.limit_in_bytes").strip()
    return int(most) if most.isdecimal() else inf


def _read(file: Path) -> str:
    """Return the text of a file, and nothing where there is none that we may read."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
