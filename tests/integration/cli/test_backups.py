"""Backup and restore of a namespace by commands: of a platform at work, and what is refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.shell import CHAIN, Shell, wait_for

pytestmark = pytest.mark.slow


def test_a_platform_at_work_is_restored_and_goes_on(shell: Shell, platform: dict[str, Any]) -> None:
    """What had ended is there, values included; what was under way is gone on with from where it was."""
    assert platform["ready"]
    here, there = ("--data-dir", "up"), ("--data-dir", "again")
    (shell.directory / "chain.yaml").write_text(CHAIN)
    ended = shell.json("run", "good.yaml", *here)["execution_id"]
    waiting = shell.json("submit", "chain.yaml", *here)["execution_id"]
    saved = shell.json("backup", "saved", *here)
    assert saved["namespace"] == "default"
    assert saved["streams"]["objects"]["messages"] > 1
    assert shell.json("restore", "saved", *there) == saved

    assert "verified" in shell.run("replay", ended, "--verify", *there)
    status = shell.json("status", ended, *there)
    assert status["status"] == "succeeded"
    assert shell.lines("events", ended, *there) == shell.lines("events", ended, *here)
    again = shell.start("up", "--json", *there)
    assert again.stdout is not None
    assert json.loads(again.stdout.readline())["ready"]
    shell.json("signal", waiting, "go", *there)
    assert shell.json("watch", waiting, *there)["status"] == "succeeded"
    assert wait_for(again, signal.SIGTERM) == 0
    assert shell.json("status", waiting, *here)["status"] == "running"


def test_what_cannot_be_restored_changes_nothing(shell: Shell, good: dict[str, Any]) -> None:
    """A backup that is not whole, or of another namespace, is refused before anything is made."""
    shell.json("backup", "whole")
    assert "not empty" in shell.json("backup", "whole", code=2)["error"]["message"]
    assert "already" in shell.json("restore", "whole", code=2)["error"]["message"]
    assert shell.json("status", good["execution_id"])["status"] == "succeeded"
    fresh = ("--data-dir", "fresh")
    assert (
        shell.json("restore", "whole", "--namespace", "other", *fresh, code=2)["error"]["code"]
        == "bad_backup"
    )
    assert shell.json("restore", "good.yaml", *fresh, code=2)["error"]["code"] == "bad_backup"
    file: Path = shell.directory / "whole" / "log.tar.s2"
    body = file.read_bytes()
    file.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    error = shell.json("restore", "whole", *fresh, code=2)["error"]
    assert (error["code"], "log.tar.s2" in error["message"]) == ("bad_backup", True)
    file.unlink()
    assert shell.json("restore", "whole", *fresh, code=2)["error"]["code"] == "bad_backup"
    (shell.directory / "whole" / "manifest.json").unlink()
    assert shell.json("restore", "whole", *fresh, code=2)["error"]["code"] == "bad_backup"
    file.write_bytes(body)
    assert shell.json("backup", "elsewhere", "--namespace", "nobody", code=2)["error"]["code"] == "caller"
