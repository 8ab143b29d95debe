"""Goal: `talka simulate` compares strategies and workers, one object a line, and refuses what cannot end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talka_core.simulation import Offer, cost_of
from talka_services.cli import main

WORKFLOW = """
talka: 1
name: two
timeout_seconds: 3
tasks:
  - {id: first, agent_type: sleep, payload: {seconds: 1}, resources: {cpu_cores: 1}, priority: 10}
  - {id: second, agent_type: sleep, payload: {seconds: 4}, resources: {cpu_cores: 1}, priority: 90}
"""


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file with two tasks that share a core."""
    for name in ("TALKA_SERVER", "TALKA_DATA_DIR", "TALKA_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(WORKFLOW)
    return "two.yaml"


def simulate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    """Run the command in this process and return its exit code and standard output."""
    monkeypatch.setattr("sys.argv", ["talka", "simulate", *words])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().out


def rows(out: str) -> list[dict[str, Any]]:
    """Return the objects that were printed."""
    return [json.loads(line) for line in out.splitlines()]


def test_strategies_are_compared(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each strategy has its own line, with when each task would begin; nothing is stored."""
    words = (two, "--json", "--tasks", "--capacity", "cpu_cores=1", "--strategy", "priority")
    exit_code, out = simulate(monkeypatch, capsys, *words, "--strategy", "breadth_first")
    assert exit_code == 0
    found = {row["strategy"]: row for row in rows(out)}
    assert {name: row["makespan_s"] for name, row in found.items()} == {"priority": 5.0, "breadth_first": 5.0}
    assert found["priority"]["tasks"]["second"]["start_s"] == 0.0
    assert found["breadth_first"]["tasks"]["first"]["start_s"] == 0.0
    assert found["priority"]["lower_bound_s"] == 5.0
    assert found["priority"]["is_over_time"]
    assert [path.name for path in tmp_path.iterdir()] == [two]


def test_more_workers_and_less_parallelism(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers and the parallel limit change the answer; people get a table."""
    words = (two, "--capacity", "cpu_cores=1", "--workers", "2", "--time-scale", "0.5")
    assert rows(simulate(monkeypatch, capsys, *words, "--json")[1])[0]["makespan_s"] == 2.0
    one = ("--max-parallel", "1")
    assert rows(simulate(monkeypatch, capsys, *words, *one, "--json")[1])[0]["makespan_s"] == 2.5
    exit_code, out = simulate(monkeypatch, capsys, *words, *one)
    assert exit_code == 0
    assert "2.500 s" in out


def test_a_quota_bounds_what_runs_at_once(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tasks of a core take turns within a quota of one; with --chaos it is refused."""
    words = (two, "--capacity", "cpu_cores=2", "--quota", "cpu_cores=1", "--json")
    assert rows(simulate(monkeypatch, capsys, *words)[1])[0]["makespan_s"] == 5.0
    assert simulate(monkeypatch, capsys, *words, "--chaos")[0] == 2


def test_what_cannot_end_is_refused(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resource that nobody offers is exit code 2 with its name."""
    exit_code, out = simulate(monkeypatch, capsys, two, "--json", "--capacity", "cpu_cores=0.5")
    assert exit_code == 2
    error = rows(out)[0]["error"]
    assert error["code"] == "simulation_stuck"
    assert "cpu_cores: 1 asked" in error["message"]


def test_deadlines_are_told(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number of missed deadlines and the weighted tardiness stand in the row and in the table."""
    Path(two).write_text(WORKFLOW.replace("priority: 10", "deadline_seconds: 3, weight: 2"))
    words = (two, "--capacity", "cpu_cores=1", "--strategy", "deadline", "--strategy", "priority")
    exit_code, out = simulate(monkeypatch, capsys, *words, "--json")
    assert exit_code == 0
    found = [(row["deadline_misses"], row["weighted_tardiness_s"]) for row in rows(out)]
    assert found == [(0, 0.0), (1, 4.0)]
    assert "1, weighted 4.0 s" in simulate(monkeypatch, capsys, *words)[1]


def test_all_sets_of_a_file(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with several sets has a row for each."""
    Path("wt2.txt").write_text("3 5\n2 9\n4 0\n1 1\n7 8\n3 9\n")
    exit_code, out = simulate(monkeypatch, capsys, "wt2.txt", "--json")
    assert exit_code == 0
    assert [(row["name"], row["weighted_tardiness_s"]) for row in rows(out)] == [
        ("wt2-1", 53.0),
        ("wt2-2", 0.0),
    ]


def test_workers_cost_what_they_offer(
    two: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two workers of one core for four seconds are paid by the core and by the worker."""
    words = (two, "--capacity", "cpu_cores=1", "--workers", "2")
    prices = ("--price", "cpu_cores=900", "--price", "worker=450", "--price", "licence=1")
    assert rows(simulate(monkeypatch, capsys, *words, "--json")[1])[0]["cost"] is None
    row = rows(simulate(monkeypatch, capsys, *words, *prices, "--shared", "licence=3600", "--json")[1])[0]
    assert row["cost"] == pytest.approx(2 * 4 * (900 + 450) / 3600 + 4)
    assert "7.00" in simulate(monkeypatch, capsys, *words, *prices, "--shared", "licence=3600")[1]


def test_a_worker_costs_while_it_is_there() -> None:
    """From when it joins until it leaves, and no longer than the run."""
    offers = [Offer({"gpu": 2.0}, joins_s=10.0, leaves_s=25.0), Offer({"gpu": 1.0}, joins_s=90.0)]
    assert cost_of(offers, {}, {"gpu": 3600.0}, 100.0) == pytest.approx(2 * 15 + 10)
    assert cost_of(offers, {}, {"gpu": 3600.0}, 20.0) == pytest.approx(2 * 10)
