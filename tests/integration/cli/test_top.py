"""The screen that shows what a platform is busy with."""

from __future__ import annotations

import time
from typing import Any

from tests.integration.cli.shell import Shell


def test_what_goes_on_is_on_one_screen(shell: Shell, platform: dict[str, Any]) -> None:
    """What runs and what it holds is there, and what is over is only counted."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    execution_id = shell.json("submit", "long.yaml", *here)["execution_id"]
    deadline = time.monotonic() + 60
    while not (found := shell.json("top", *here))["live"] or not found["live"][0]["running"]:
        assert time.monotonic() < deadline, found
    assert (found["executions"], found["live"][0]["execution_id"]) == (1, execution_id)
    assert [len(pool["workers"]) for pool in found["pools"]] == [2]
    shown = shell.run("top", "--once", *here)
    assert "1 of 1 executions" in shown
    assert any(line.split()[:3] == [execution_id, "long", "running"] for line in shown.splitlines())
    shell.run("cancel", execution_id, *here)
    while (found := shell.json("top", *here))["live"]:
        assert time.monotonic() < deadline, found
    assert found["executions"] == 1
