"""Why tasks do not run, asked of a real platform."""

from __future__ import annotations

import time
from typing import Any

from tests.integration.cli.shell import Shell

HOLDS = """
talka: 1
name: holds
tasks:
  - {id: one, agent_type: sleep, payload: {seconds: 300}, resources: {cpu_cores: 2}}
  - {id: two, agent_type: sleep, payload: {seconds: 300}, resources: {cpu_cores: 2}}
"""

WANTS = """
talka: 1
name: wants
tasks:
  - {id: ask, agent_type: approval, payload: {question: "Ship it?", assignees: [Ada]}}
  - {id: pack, agent_type: sleep, payload: {seconds: 1}, resources: {cpu_cores: 1}}
  - {id: wrap, agent_type: sleep, payload: {seconds: 1}, depends_on: [pack]}
  - {id: ship, agent_type: sleep, payload: {seconds: 1}, depends_on: [ask]}
"""

BREAKS = """
talka: 1
name: breaks
tasks:
  - {id: bad, agent_type: command, payload: {argv: ['false']}}
  - {id: middle, agent_type: sleep, payload: {seconds: 0}, depends_on: [bad]}
  - {id: end, agent_type: sleep, payload: {seconds: 0}, depends_on: [middle]}
"""

STEPS = """
talka: 1
name: steps
tasks:
  - {id: long, agent_type: sleep, payload: {seconds: 0.4}, resources: {cpu_cores: 1}}
  - {id: short, agent_type: sleep, payload: {seconds: 0.2}, resources: {cpu_cores: 1}}
  - {id: last, agent_type: sleep, payload: {seconds: 0.01}, depends_on: [long, short]}
"""

HERE = ("--data-dir", "up")


def _until(shell: Shell, name: str, task_id: str, status: str) -> None:
    deadline = time.monotonic() + 60
    while shell.json("status", name, *HERE)["tasks"].get(task_id, {}).get("status") != status:
        assert time.monotonic() < deadline, f"{task_id} is never {status}"
        time.sleep(0.1)


def test_a_waiting_task_is_explained(shell: Shell, platform: dict[str, Any]) -> None:
    """Over executions and pool: who holds what is short, where a chain leads, who is asked."""
    assert platform["ready"]
    (shell.directory / "holds.yaml").write_text(HOLDS)
    (shell.directory / "wants.yaml").write_text(WANTS)
    holding = shell.json("submit", "holds.yaml", *HERE)["execution_id"]
    for name in ("one", "two"):
        _until(shell, holding, name, "running")
    wanting = shell.json("submit", "wants.yaml", *HERE)["execution_id"]
    _until(shell, wanting, "pack", "queued")

    found = shell.json("explain", wanting, "pack", *HERE)
    assert (found["execution_id"], found["task_id"], found["status"]) == (wanting, "pack", "queued")
    (cause,) = found["causes"]
    assert (cause["kind"], cause["resource"]) == ("resource", "cpu_cores")
    assert [(h["execution_id"], h["amount"]) for h in cause["holders"]] == [(holding, 2.0)]
    assert 250 < found["starts_at"] - time.time() < 300

    chain = shell.json("explain", wanting, "wrap", *HERE)["causes"]
    assert [(cause["kind"], cause["task_id"]) for cause in chain] == [
        ("dependency", "wrap"),
        ("resource", "pack"),
    ]
    said = shell.run("explain", wanting, "ship", *HERE)
    assert "'ask' is waiting" in said
    assert "Ada" in said
    assert f"talka approve {wanting} ask" in said

    shell.run("pause", wanting, "--reason", "lunch", *HERE)
    _until(shell, wanting, "pack", "ready")
    assert shell.json("explain", wanting, "pack", *HERE)["causes"][0]["kind"] == "execution_paused"
    error = shell.json("explain", wanting, "pakc", *HERE, code=2)["error"]
    assert (error["code"], "'pack'" in error["message"]) == ("unknown_task", True)
    for name in (holding, wanting):
        shell.run("cancel", name, *HERE)


def test_the_time_of_an_execution_is_split(shell: Shell) -> None:
    """The segments of the real critical path add up to the makespan, and the best change comes first."""
    (shell.directory / "steps.yaml").write_text(STEPS)
    result = shell.json("run", "steps.yaml", "--capacity", "cpu_cores=1", "--data-dir", "steps")
    found = shell.json("bottlenecks", result["execution_id"], "--data-dir", "steps")
    assert found["makespan_ms"] == round(1000 * result["makespan_s"])
    assert sum(segment["took_ms"] for segment in found["segments"]) == found["makespan_ms"]
    assert [s["task_id"] for s in found["segments"] if s["spent_on"] == "compute"][-1] == "last"
    assert found["totals_ms"]["compute"] > 190
    assert found["totals_ms"]["resource"] >= 350, "the one core was taken by the other task"
    changes = {each["change"]: each["saves_ms"] for each in found["alternatives"]}
    assert changes["halve long"] >= 150
    assert changes["twice the cpu_cores"] >= 150
    said = shell.run("bottlenecks", result["execution_id"], "--data-dir", "steps")
    assert "halve long" in said
    path = shell.json("bottlenecks", result["execution_id"], "--path-only", "--data-dir", "steps")
    assert (path["segments"], path["alternatives"]) == (found["segments"], [])


def test_an_execution_that_has_not_begun_is_explained(shell: Shell, platform: dict[str, Any]) -> None:
    """One that is to start later has no log yet, and still says until when it waits."""
    assert platform["ready"]
    name = shell.json("submit", "good.yaml", "--at", "2100-01-01T00:00:00Z", *HERE)["execution_id"]
    (cause,) = shell.json("explain", name, "first", *HERE)["causes"]
    assert (cause["kind"], cause["until"]) == ("start_time", 4102444800.0)
    shell.run("schedule", "remove", f"at-{name}", *HERE)
    assert shell.json("explain", "nothing", "first", *HERE, code=2)["error"]["code"] == "unknown_execution"


def test_what_has_ended_is_explained_from_a_file_too(shell: Shell) -> None:
    """A task that will never run names the one that failed, on the directory and from an export."""
    (shell.directory / "breaks.yaml").write_text(BREAKS)
    name = shell.json("run", "breaks.yaml", code=1)["execution_id"]
    shell.run("export", name, "-o", "breaks.talka")
    for where in (name, "breaks.talka"):
        found = shell.json("explain", where, "end")
        assert [cause["kind"] for cause in found["causes"]] == ["dependency_failed", "failed"]
        assert found["causes"][0]["chain"] == ["end", "bad"]
        assert found["causes"][1]["task_id"] == "bad"
