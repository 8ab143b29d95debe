"""Goal: `talka simulate ID` asks about a real run: as it went, the same again, and under other conditions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import up
from tests.integration.cli.shell import Shell

from talka_services import trials
from talka_services.trials import Fault, Site, Stopped, Trial

WIDE = """
talka: 1
name: wide
tasks:
- {id: a, agent_type: sleep, payload: {seconds: 0.1}, resources: {cpu_cores: 1}}
- {id: b, agent_type: sleep, payload: {seconds: 0.1}, resources: {cpu_cores: 1}}
- {id: c, agent_type: sleep, payload: {seconds: 0.1}, resources: {cpu_cores: 1}}
- {id: d, agent_type: sleep, payload: {seconds: 0.1}, resources: {cpu_cores: 1}}
"""
TRACE = Path(__file__).parents[2] / "data" / "wfinstances" / "pegasus-srasearch-chameleon-10a-001.json"


@pytest.fixture(scope="module")
def traced(shell: Shell) -> dict[str, Any]:
    """The result of a trace that was really run, a thousand times faster."""
    words = ("--time-scale", "0.001", "--data-dir", "traced")
    result: dict[str, Any] = shell.json("run", str(TRACE), *words)
    return result


def test_a_real_run_is_reproduced(shell: Shell, traced: dict[str, Any]) -> None:
    """The same policy takes what the tasks took, in their order; only the platform's own time is missing."""
    name = traced["execution_id"]
    went, again = shell.lines("simulate", name, "--tasks", "--data-dir", "traced")
    assert (went["is_recorded"], again["is_recorded"]) == (True, False)
    assert went["makespan_s"] == traced["makespan_s"]
    assert went["lower_bound_s"] - 1e-9 <= again["makespan_s"] <= went["makespan_s"] + 1e-9
    assert again["over_recorded"] == pytest.approx(again["makespan_s"] / went["makespan_s"] - 1)
    for task_id, task in again["tasks"].items():
        was = went["tasks"][task_id]
        assert task["end_s"] - task["start_s"] == pytest.approx(was["end_s"] - was["start_s"])
        assert task["start_s"] <= was["start_s"] + 1e-9


def test_other_conditions(shell: Shell, traced: dict[str, Any]) -> None:
    """Fewer at once takes longer, a faster task shorter; strategies are lines of their own."""
    words = ("simulate", traced["execution_id"], "--data-dir", "traced")
    went, again = shell.lines(*words)
    found = shell.lines(*words, "--strategy", "depth_first", "--strategy", "priority", "--max-parallel", "1")
    assert [row["strategy"] for row in found] == [went["strategy"], "depth_first", "priority"]
    assert all(row["makespan_s"] > again["makespan_s"] for row in found[1:])
    assert shell.lines(*words, "--time-scale", "2")[1]["makespan_s"] == pytest.approx(2 * again["makespan_s"])
    slowest = max(traced["tasks"].items(), key=lambda item: item[1]["finished_at"] - item[1]["started_at"])[0]
    assert shell.lines(*words, "--faster", f"{slowest}=0.1")[1]["makespan_s"] < again["makespan_s"]
    one_core = shell.lines(*words, "--workers", "1", "--capacity", "cpu_cores=1")[1]
    assert one_core["utilisation"]["cpu_cores"] > again["utilisation"]["cpu_cores"]
    assert "as it went" in shell.run(*words)


def test_on_the_workers_of_a_live_pool(shell: Shell) -> None:
    """A file and a run on record are asked about on what the pool has now; flags have the last word."""
    (shell.directory / "wide.yaml").write_text(WIDE)
    with up(shell, "--no-http"):
        name = shell.json("run", "wide.yaml", "--data-dir", "up")["execution_id"]
        words = ("--pool", "default", "--data-dir", "up")
        assert shell.json("simulate", "wide.yaml", *words)["makespan_s"] == pytest.approx(0.1)
        assert shell.json("simulate", "wide.yaml", *words, "--workers", "1")["makespan_s"] == pytest.approx(
            0.2
        )
        narrow = shell.lines("simulate", name, *words, "--capacity", "cpu_cores=1")[1]
        assert narrow["makespan_s"] >= 0.2
        refusal = shell.json("simulate", "wide.yaml", "--pool", "nothing", "--data-dir", "up", code=2)
        assert "'nothing' has no worker" in refusal["error"]["message"]


def test_an_exported_file_answers_the_same(shell: Shell, traced: dict[str, Any]) -> None:
    """The file of an execution holds the workers that ran it, too."""
    shell.run("export", traced["execution_id"], "-o", "traced.talka", "--data-dir", "traced")
    _, here = shell.lines("simulate", traced["execution_id"], "--data-dir", "traced")
    _, there = shell.lines("simulate", "traced.talka", "--data-dir", "nowhere")
    assert there["makespan_s"] == here["makespan_s"]


def test_a_workflow_is_tried_in_a_cluster_that_fails(shell: Shell) -> None:
    """A seed always goes the same way, says what was broken, and nothing that is promised is violated."""
    words = ("simulate", "good.yaml", "--input", "pause=1", "--chaos", "--seed", "5")
    (first,), (again,) = shell.lines(*words), shell.lines(*words)
    assert first == again
    assert (first["seeds"], first["first_seed"], first["violations"]) == (1, 5, [])
    assert sum(first["statuses"].values()) == 1
    assert bool(first["unsuccessful"]) is ("succeeded" not in first["statuses"])
    assert sum(first["injected"].values()) > 0
    assert min(first["attempts"], first["events"]) > 0
    said = shell.run(*words, "--seeds", "2")
    assert "2 seeds from 5 on" in said
    assert "violations: none" in said


def test_a_violation_is_shown_with_the_faults_that_it_takes(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the exit code is 1, and the seed can be tried again."""
    found = Trial(7, "running", 9.0, 3, 40, {"crash": 5}, ("L1 it is running",), (Fault("crash", 1.25),))

    def tried(*_asked: object) -> Iterator[Trial]:
        yield found

    monkeypatch.setattr(trials, "trier", lambda: tried)
    words = ("simulate", "good.yaml", "--chaos", "--seed", "7")
    (failed,) = shell.json(*words, code=1)["violations"]
    assert (failed["seed"], failed["findings"], failed["injected"]) == (7, ["L1 it is running"], 5)
    assert failed["faults"] == [{"kind": "crash", "at_s": 1.25}]
    said = shell.run(*words, code=1)
    assert "of 5 faults it takes 1: crash at 1.250 s" in said
    assert "talka simulate --chaos --seed 7 good.yaml --workers 2 --capacity cpu_cores=" in said


def test_a_failing_seed_can_be_tried_again_as_it_was(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that is shown has the same workers, amounts, inputs and limits, and finds the same."""
    asked: list[tuple[Site, Sequence[int]]] = []

    def tried(_workflow: object, site: Site, seeds: Sequence[int]) -> Iterator[Trial]:
        asked.append((site, seeds))
        yield Trial(9, "running", 9.0, 3, 40, {}, ("L1 it is running",))

    monkeypatch.setattr(trials, "trier", lambda: tried)
    words = ("--workers", "3", "--capacity", "cpu_cores=1.5", "--shared", "licence=2", "--max-tasks", "2000")
    said = shell.run("simulate", "good.yaml", "--chaos", "--seed", "9", *words, "--input", "pause=1", code=1)
    again = shlex.split(said.replace("\n", " ").partition("again: talka ")[2])
    shell.run(*again, code=1)
    assert asked[0] == asked[1]
    assert "pause=1" in again
    assert again[-2:] == ["--max-tasks", "2000"]


def test_what_did_not_succeed_is_told_by_seed_and_task(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults that are no fault of the platform's: which seeds, which tasks most often, and why."""

    def tried(*_asked: object) -> Iterator[Trial]:
        for seed in range(14):
            stopped = (Stopped("fetch", "failed", 2, "It was drawn."),) if seed else ()
            yield Trial(seed, "failed" if seed else "succeeded", 9.0, 3, 40, {}, stopped=stopped)

    monkeypatch.setattr(trials, "trier", lambda: tried)
    said = " ".join(shell.run("simulate", "good.yaml", "--chaos", "--seeds", "14").split())
    assert "failed: with seed 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more" in said
    assert "fetch failed in 13 of 13, lastly at attempt 2: It was drawn." in said
    (told,) = shell.lines("simulate", "good.yaml", "--chaos", "--seeds", "14")
    assert [each["seed"] for each in told["unsuccessful"]] == list(range(1, 14))
    assert told["unsuccessful"][0]["tasks"] == [
        {"task_id": "fetch", "status": "failed", "attempts": 2, "error": "It was drawn."}
    ]


def test_chaos_goes_with_few_options(
    shell: Shell, traced: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds without chaos, makespans with it, executions on record and a lacking package are refused."""
    for words in (
        ("good.yaml", "--seed", "3"),
        ("good.yaml", "--chaos", "--price", "worker=1"),
        (traced["execution_id"], "--chaos", "--data-dir", "traced"),
    ):
        assert shell.json("simulate", *words, code=2)["error"]["code"] == "usage"

    def nothing(**_asked: str) -> list[object]:
        return []

    monkeypatch.setattr(trials, "entry_points", nothing)
    assert shell.json("simulate", "good.yaml", "--chaos", code=2)["error"]["code"] == "no_trials"


def test_what_makes_no_sense_is_refused(shell: Shell, traced: dict[str, Any]) -> None:
    """Unknown ids and tasks, and options that only files have, exit with 2 and say what is wrong."""
    words = ("simulate", traced["execution_id"], "--data-dir", "traced")
    error = shell.json(*words[:1], "unheard-of", *words[2:], code=2)["error"]
    assert error["code"] == "unknown_execution"
    refused = shell.run(*words, "--json", "--faster", "nobody=0.5", code=2)
    assert "no such task" in refused
    assert "is an execution on record" in shell.json(*words, "--input", "a=1", code=2)["error"]["message"]
