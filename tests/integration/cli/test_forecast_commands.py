"""Goal: `talka predict` and `talka eta` answer from what is on record, here, in files and in traces."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.integration.cli.shell import Shell

TRACES = Path(__file__).parents[2] / "data" / "wfinstances"
BLAST = [str(TRACES / f"makeflow-blast-chameleon-small-00{number}.json") for number in (1, 2)]
SEARCH = [str(TRACES / f"pegasus-srasearch-chameleon-10a-00{number}.json") for number in (1, 3)]

STEADY = """
talka: 1
name: steady
inputs: {pause: 0.05}
tasks:
  - {id: first, agent_type: sleep, payload: {seconds: "${input.pause}"}}
  - {id: second, agent_type: sleep, payload: {seconds: 0.1}, depends_on: [first]}
"""


def test_a_repeated_run_lies_in_the_intervals_of_the_earlier_one(shell: Shell) -> None:
    """Of two applications, the second run's tasks and makespans are predicted from the first run alone."""
    *rows, last = shell.lines("predict", BLAST[1], SEARCH[1], "--from", BLAST[0], "--from", SEARCH[0])
    assert [row["runs"] for row in rows] == [2, 2]
    assert [row["predicted"] for row in rows] == [row["tasks"] for row in rows]
    for row in rows:
        assert row["makespan_s"]["p5"] < row["makespan_s"]["measured"] < row["makespan_s"]["p95"]
    total = last["total"]
    assert total["coverage"]["tasks"] == sum(row["tasks"] for row in rows)
    assert 0.85 <= total["coverage"]["share"] <= 0.95
    assert total["makespans_covered"] == total["makespans"] == 2
    assert total["memory_coverage"]["share"] >= 0.85


def test_what_was_measured_is_not_used(shell: Shell, tmp_path: Path) -> None:
    """A run whose measured times are all a hundred times longer is predicted no differently."""
    document: dict[str, Any] = json.loads(Path(SEARCH[1]).read_text())
    for task in document["workflow"]["execution"]["tasks"]:
        task["runtimeInSeconds"] *= 100
    document["workflow"]["execution"]["makespanInSeconds"] *= 100
    other = tmp_path / "longer.json"
    other.write_text(json.dumps(document))
    first = shell.json("predict", SEARCH[1], "--from", SEARCH[0], "--tasks")
    second = shell.json("predict", str(other), "--from", SEARCH[0], "--tasks")
    for name in ("p5", "p50", "p95"):
        assert first["makespan_s"][name] == second["makespan_s"][name]
    for task_id, found in first["by_task"].items():
        assert found["p50"] == second["by_task"][task_id]["p50"]
    assert second["coverage"]["share"] < 0.2


def test_the_history_of_a_namespace(shell: Shell) -> None:
    """Executions on record are what a file is predicted from, without being named; itself is left out."""
    (shell.directory / "steady.yaml").write_text(STEADY)
    words = ("--data-dir", "steady")
    names = [shell.json("run", "steady.yaml", *words)["execution_id"] for _ in range(3)]
    found = shell.json("predict", "steady.yaml", "--tasks", *words)
    assert (found["runs"], found["predicted"], found["coverage"]) == (3, 2, None)
    # Clocks of processes are steered while they run, so that 0.1 s of sleep may be recorded a little shorter.
    assert 0.09 < found["by_task"]["second"]["p50"] < found["by_task"]["second"]["p95"]
    again = shell.json("predict", names[0], *words)
    assert (again["runs"], again["coverage"]["tasks"]) == (2, 2)
    assert again["makespan_s"]["p50"] > 0.14
    assert "3 runs" in shell.run("predict", "steady.yaml", *words)
    shell.run("export", names[0], "-o", "steady.talka", *words)
    assert shell.json("predict", "steady.yaml", "--from", "steady.talka")["runs"] == 1


def test_when_a_running_execution_will_be_over(shell: Shell, platform: dict[str, Any]) -> None:
    """Half the time before p50, nine times of ten before p90; more of it is done, less is left."""
    words = ("--data-dir", "up")
    name = shell.json("submit", "long.yaml", *words)["execution_id"]
    deadline = time.monotonic() + 30
    while shell.json("status", name, *words)["running"] != ["a"]:
        assert time.monotonic() < deadline
    first = shell.json("eta", name, *words)
    assert (first["done"], first["total"], first["left"]) == (0, 2, 2)
    assert 100 < first["remaining_s"]["p50"] < first["remaining_s"]["p90"]
    assert first["eta"]["p50"] == first["at"] + first["remaining_s"]["p50"]
    assert shell.json("eta", name, "--seed", "1", *words)["remaining_s"] != first["remaining_s"]
    assert "in nine of ten cases" in shell.run("eta", name, *words)
    shell.run("cancel", name, *words)
    deadline = time.monotonic() + 30
    while shell.json("status", name, *words)["status"] != "cancelled":
        assert time.monotonic() < deadline
    assert "is over" in shell.json("eta", name, *words, code=2)["error"]["message"]


def test_what_cannot_be_forecast_is_refused(shell: Shell) -> None:
    """Unknown executions, files without run times, and no history to ask: exit code 2, and what to do."""
    refused = shell.json("predict", "good.yaml", "--from", "good.yaml", code=2)["error"]
    assert "holds no run times" in refused["message"]
    assert shell.json("predict", "good.yaml", "--data-dir", "nowhere", code=2)["error"]["code"]
    assert shell.json("eta", "unheard-of", "--data-dir", "nowhere", code=2)["error"]["code"]
