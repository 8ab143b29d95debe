"""Tests that every workload of ``talka bench`` runs and is reported; the figures are not judged."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from talka_chaos.verifier import Verifier
from talka_services.bench.measure import Meter, Spread, percentile
from talka_services.bench.report import document, print_rows
from talka_services.bench.sessions import WORKLOADS, Row, Session, Sizes
from talka_services.bench.stage import embedded

TINY = Sizes(
    fan=5,
    chain=4,
    workflows=3,
    steps=2,
    at_once=2,
    layers=2,
    width=2,
    layer_s=0.01,
    sleepers=3,
    sleep_s=0.01,
    singles=3,
    scales=(2, 1_001),
    speedup_tasks=2,
    speedup_s=0.01,
)


async def test_every_workload_runs_and_says_what_it_was_measured_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verifier: Verifier
) -> None:
    """Each workload gives rows with figures, repetitions, machine and settings, as a table and as JSON."""
    async with embedded(tmp_path / ".talka", "process") as stage:
        rows = [row async for row in Session(stage, 1, TINY).rows(WORKLOADS)]
        # The directory is gone when the test ends.
        assert await verifier.server(stage.orchestrator.node.connection.address) == []
    names = [row.workload for row in rows]
    assert names == ["W1", "W1", "W2", "W2", "W3", "W4a", "W4b", "W5", "W6", "W6", "speedup", "speedup"]
    assert all(spread.min <= spread.median <= spread.max for row in rows for spread in row.figures.values())
    assert rows[0].figures["throughput"].median > 0
    assert all(row.machine.nats_server != "unknown" and row.repetitions == 1 for row in rows)
    assert rows[0].settings["durability"] == "process"
    assert msgspec.convert(document(rows)["rows"], list[Row]) == rows
    print_rows(rows)
    assert "speed-up" in capsys.readouterr().out
    assert not os.listdir(tmp_path)


def test_a_meter_counts_work_of_its_processes_and_percentiles_are_values_that_occurred() -> None:
    """A meter that watches no process counts nothing, and the median of three is the middle one."""
    with Meter([]) as meter:
        pass
    assert meter.cpu_s == 0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert Spread.of([1.0, 2.0, 4.0], "s") == Spread("s", 2.0, 1.0, 4.0)
