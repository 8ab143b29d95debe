"""A platform whose workers come and go by what waits, driven from the command line."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest
from tests.integration.cli.shell import Shell, wait_for

pytestmark = pytest.mark.slow

HERE = ("--data-dir", "elastic")
WIDE = """
talka: 1
name: wide
tasks:
%s
"""


def _until(shell: Shell, wanted: int) -> dict[str, Any]:
    """Return the pool's demand when it has as many workers as that, and none that drains."""
    end = time.monotonic() + 30.0
    while True:
        found: dict[str, Any] = shell.json("pool", "demand", *HERE)
        if (found["workers"], found["draining"]) == (wanted, 0):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.2)


def test_workers_come_and_go_by_what_waits(shell: Shell) -> None:
    """From zero to two processes for six tasks of one core, back to zero, and a policy by command."""
    tasks = [
        f"  - {{id: t{n}, agent_type: sleep, payload: {{seconds: 1}}, resources: {{cpu_cores: 1}}}}"
        for n in range(6)
    ]
    (shell.directory / "wide.yaml").write_text(WIDE % "\n".join(tasks))
    flags = ("--scale", "0:2/0.5/1/1.5", "--capacity", "cpu_cores=1", "--durability", "process")
    up = shell.start("up", *HERE, *flags, "--json")
    assert up.stdout is not None
    try:
        assert json.loads(up.stdout.readline())["ready"] == "up"
        assert _until(shell, 0)["desired_workers"] == 0
        result = shell.json("run", "wide.yaml", *HERE)
        assert result["status"] == "succeeded"
        assert len({task["worker"] for task in result["tasks"].values()}) == 2
        found = _until(shell, 0)
        assert (found["desired_workers"], found["queue_length"]) == (0, 0)
        answer = shell.json("pool", "scale", *HERE, "--min", "1", "--max", "1")
        assert answer["policy"]["min_workers"] == 1
        assert _until(shell, 1)["desired_workers"] == 1
        assert shell.json("pool", "scale", *HERE, "--min", "3", "--max", "2", code=2)["error"]["code"]
        assert shell.json("pool", "scale", *HERE, code=2)["error"]["code"] == "usage"
        assert shell.json("pool", "scale", *HERE, "--off")["policy"] is None
    finally:
        assert wait_for(up, signal.SIGTERM) == 0
