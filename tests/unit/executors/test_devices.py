"""Goal: what attempts hold of GPUs is seen where a driver tells it, and nothing breaks where none does."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task
from talka_services.executors.devices import MEBIBYTE, Devices, Held, held
from talka_services.executors.sampling import CommandWatch, sample
from talka_services.service.metering import AttemptMeter


class DriverError(Exception):
    """What the driver's library raises."""


def driver(*running: Mapping[int, int | None] | None) -> SimpleNamespace:
    """Return what stands in for ``pynvml``: process ids and bytes by device; None has fallen off."""

    def begin() -> None:
        if not running:
            raise DriverError("Driver Not Loaded")

    def processes(device: int) -> list[Any]:
        found = running[device]
        if found is None:
            raise DriverError("GPU is lost")
        return [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in found.items()]

    return SimpleNamespace(
        NVMLError=DriverError,
        nvmlInit=begin,
        nvmlDeviceGetCount=lambda: len(running),
        nvmlDeviceGetHandleByIndex=int,
        nvmlDeviceGetComputeRunningProcesses=processes,
    )


def devices(monkeypatch: pytest.MonkeyPatch, *running: Mapping[int, int | None] | None) -> Devices:
    """Return the devices as this driver shows them."""
    monkeypatch.setitem(sys.modules, "pynvml", driver(*running))
    return Devices()


def test_what_processes_hold_is_added_up_by_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on three devices; a third process is another's, and memory may be untold."""
    found = devices(
        monkeypatch, {7: 100 * MEBIBYTE, 9: MEBIBYTE}, {7: 50 * MEBIBYTE}, {8: None}, None
    ).by_process()
    assert held(found, [7, 8]) == Held(3, 150.0)
    assert held(found, [9]) == Held(1, 1.0)
    assert held(found, [10]) is None


def test_without_a_driver_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a library that finds no driver nor no library at all is an error."""
    assert devices(monkeypatch).by_process() == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Devices().by_process() == {}


def test_an_attempt_s_usage_has_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most devices and memory of all looks are kept, with processor time and memory."""
    leader, own = os.getsid(0), os.getpid()
    meter = AttemptMeter()
    watch = CommandWatch(leader, Attempt("e", Task("a", "command"), 1, 1, "w", meter=meter), lambda: None)
    for running in ({own: 64 * MEBIBYTE}, {own: 32 * MEBIBYTE}, {}):
        watch.saw(sample({leader: 0.0}, devices(monkeypatch, running))[leader])
    usage = meter.usage(1_000)
    assert usage is not None
    assert (usage.gpus, usage.gpu_memory_mb) == (1, 64.0)
    assert usage.memory_mb is not None
