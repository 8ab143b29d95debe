"""Goal: a worker offers what its control groups let it have, not what its machine has.

Method: files as the kernel has them, of both versions, in a directory of their own.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from talka_services.executors import registry
from talka_services.executors.registry import ExecutorSettings
from talka_services.machine import beyond_machine, machine_capacity, usable_cores

HALF_A_CORE = {"cpu.max": "50000 100000\n"}


def machine(root: Path, own: str, groups: dict[str, dict[str, str]]) -> dict[str, float]:
    """Return the capacity where this process is in such groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    for group, files in groups.items():
        directory = root / "sys/fs/cgroup" / group
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
    return machine_capacity(root)


@pytest.mark.parametrize(
    ("own", "groups"),
    [
        ("0::/\n", {"": {"cpu.max": "50000 100000\n", "memory.max": "67108864\n"}}),
        ("0::/a/b\n", {"a": {"memory.max": "67108864\n", **HALF_A_CORE}, "a/b": {"cpu.max": "max 100000\n"}}),
        (
            "4:memory:/docker/c1\n3:cpu,cpuacct:/docker/c1\n",
            {
                "cpu": {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"},
                "memory": {"memory.limit_in_bytes": "67108864\n"},
            },
        ),
    ],
    ids=["own group", "group above", "version 1, seen from inside"],
)
def test_control_groups_bound_what_is_offered(
    tmp_path: Path, own: str, groups: dict[str, dict[str, str]]
) -> None:
    """Half a core and 64 MiB are offered where no more may be used."""
    found = machine(tmp_path, own, groups)
    assert (found["cpu_cores"], found["memory_mb"]) == (0.5, 64.0)


@pytest.mark.parametrize(
    ("own", "groups"),
    [
        ("", {}),
        ("0::/\n", {"": {"cpu.max": "max 100000\n", "memory.max": "max\n"}}),
        ("3:cpu:/\n", {"cpu": {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}}),
        ("4:memory:/\n", {"memory": {"memory.limit_in_bytes": "9223372036854771712\n"}}),
    ],
    ids=["none", "version 2", "version 1, cores", "version 1, memory"],
)
def test_without_a_bound_there_is_all_that_the_machine_has(
    tmp_path: Path, own: str, groups: dict[str, dict[str, str]]
) -> None:
    """Nothing is taken off where the groups set no bound, or there are none."""
    found = machine(tmp_path, own, groups)
    assert 1 <= found["cpu_cores"] <= (os.cpu_count() or 1)
    assert found["memory_mb"] == psutil.virtual_memory().total // 2**20


def test_computing_tasks_get_as_many_processes_as_there_are_cores_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a group with half a core one process computes, however many cores its machine has."""
    machine(tmp_path, "0::/\n", {"": HALF_A_CORE})
    cores = usable_cores(tmp_path)
    assert cores == 0.5
    monkeypatch.setattr(registry, "usable_cores", lambda: cores)
    assert ExecutorSettings().processes == 1


def test_an_offer_beyond_the_machine_is_warned_of() -> None:
    """Each amount that is too large is named with what there is; others are not judged."""
    has = {"cpu_cores": 2.0, "memory_mb": 1024.0}
    warning = beyond_machine({"cpu_cores": 64.0, "memory_mb": 1024.0, "licence": 3.0}, has)
    assert warning is not None
    assert "64 cpu_cores of 2" in warning
    assert "memory_mb" not in warning
    assert "licence" not in warning
    assert beyond_machine(has, has) is None
