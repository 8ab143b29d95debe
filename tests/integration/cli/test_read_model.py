"""The read model from the command line: made, asked, kept by a service, and made anew."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.shell import Shell, wait_for

PATIENCE_S = 20.0


def test_the_model_says_what_the_logs_say(shell: Shell) -> None:
    """``list`` prints the same with a model and without; filters, figures and the lag are right."""
    where = ("--data-dir", "figures")
    shell.run("projection", "status", *where, code=2)
    first = shell.json("run", "good.yaml", *where)["execution_id"]
    second = shell.json("run", "undoable.yaml", *where)["execution_id"]
    asked: list[tuple[str, ...]] = [(), ("--name", "GOO"), ("--status", "failed")]
    without = [shell.json("list", *flags, *where) for flags in asked]
    assert shell.run("projection", "status", *where, code=2) == ""
    stats = {kind["agent_type"]: kind for kind in shell.json("stats", *where)["kinds"]}
    assert {name: (kind["attempts"], kind["success_share"]) for name, kind in stats.items()} == {
        "sleep": (3, 1.0),
        "command": (1, 1.0),
        "python": (1, 1.0),
    }
    assert stats["command"]["run_p50_s"] > 0
    with_model = [shell.json("list", *flags, *where) for flags in asked]
    assert with_model == without
    assert [item["execution_id"] for item in with_model[0]["executions"]] == [second, first]
    assert [item["execution_id"] for item in with_model[1]["executions"]] == [first]
    assert shell.json("list", "--limit", "1", "--since", "1h", *where)["executions"][0]["name"] == "undoable"
    assert shell.json("list", "--since", "2100-01-01", *where)["executions"] == []
    periods = shell.json("trend", "--bucket", "1h", "--since", "1h", *where)["periods"]
    totals = [sum(period[what] for period in periods) for what in ("started", "succeeded", "failed")]
    assert totals == [2, 2, 0]
    _made_anew_it_is_the_same(shell, where)


def _made_anew_it_is_the_same(shell: Shell, where: tuple[str, ...]) -> None:
    status = shell.json("projection", "status", *where)
    assert (status["lag_commits"], status["lag_seconds"], status["generation"]) == (0, 0.0, 1)
    before = shell.json("list", *where)
    again = shell.json("projection", "rebuild", *where)
    assert (again["generation"], again["position"]) == (2, status["end"])
    assert shell.json("list", *where) == before
    assert "up to date" in shell.run("projection", "status", *where)
    assert "command" in shell.run("stats", "--agent-type", "command", *where)
    assert "makespan" in shell.run("trend", "--name", "good", *where)


@pytest.mark.parametrize(
    "words",
    [
        ("stats", "--since", "soon"),
        ("trend", "--bucket", "0s"),
        ("trend", "--bucket", "1s", "--since", "10d"),
        ("stats", "--database", "mysql://x"),
        ("stats", "--server", "nats://127.0.0.1:1"),
        ("list", "--status", "odd"),
    ],
)
def test_what_cannot_be_asked_is_refused(shell: Shell, words: tuple[str, ...]) -> None:
    """A wrong time, database or state ends with exit code 2, before anything is opened."""
    assert shell.json(*words, code=2)["error"]["code"] == "usage"


def test_a_model_of_another_log_is_refused(shell: Shell, good: dict[str, Any]) -> None:
    """Whoever names the model of another directory is told so, and nothing is mixed."""
    del good
    shell.json("run", "undoable.yaml", "--data-dir", "elsewhere-too")
    shell.json("stats", "--database", "shared.sqlite")
    refused = shell.json("stats", "--database", "shared.sqlite", "--data-dir", "elsewhere-too", code=2)
    assert "another log" in refused["error"]["message"]
    Path(shell.directory, "garbage.sqlite").write_bytes(b"no database" * 100)
    refused = shell.json("stats", "--database", "garbage.sqlite", code=2)
    assert "cannot be opened" in refused["error"]["message"]


def test_the_service_keeps_the_model(shell: Shell, platform: dict[str, Any]) -> None:
    """What happens on a platform is in the model a moment later, without anybody asking for it."""
    reach = ("--server", platform["server"], "--database", "kept.sqlite")
    process = shell.start("service", "projector", "--rebuild", *reach, "--json")
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] == "projector"
        done = shell.json("run", "undoable.yaml", "--data-dir", "up")["execution_id"]
        deadline = time.monotonic() + PATIENCE_S
        while (status := shell.json("projection", "status", *reach))["lag_commits"]:
            assert time.monotonic() < deadline, status
        assert status["position"] > 0
        assert shell.json("list", *reach)["executions"][0]["execution_id"] == done
    finally:
        assert wait_for(process, signal.SIGTERM) == 0
