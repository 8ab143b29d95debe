"""Archiving by commands: what goes, what it says where it lies, and a platform that does it by itself."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from tests.integration.cli.shell import Shell, wait_for
from tests.integration.objects import ObjectServer

pytestmark = pytest.mark.slow

UP = ("--data-dir", "up")


def test_an_archived_execution_is_read_where_it_lies(shell: Shell, platform: dict[str, Any]) -> None:
    """Status, events and replay read the file; where it is away they say what is left and where it was."""
    assert platform["ready"]
    ended = shell.json("run", "good.yaml", *UP)["execution_id"]
    before, events = shell.json("status", ended, *UP), shell.lines("events", ended, *UP)
    planned = shell.json("archive", ended, "--to", "kept", "--dry-run", *UP)
    assert [family["root"] for family in planned["planned"]] == [ended]
    assert not planned["archived"]
    (archived,) = shell.json("archive", ended, "--to", "kept", *UP)["archived"]
    assert archived["execution_id"] == ended
    assert archived["events"] == len(events)

    status = shell.json("status", ended, *UP)
    assert status == before | {"archived": archived["place"]}
    assert shell.lines("events", ended, *UP) == events
    assert "verified" in shell.run("replay", ended, "--verify", *UP)
    (listed,) = shell.json("list", "--archived", *UP)["executions"]
    assert (listed["execution_id"], listed["archived"]) == (ended, archived["place"])
    assert shell.json("archive", ended, "--to", "kept", *UP, code=1)["kept"][ended] == "is archived already"
    assert shell.json("audit", *UP)["clean"]

    (shell.directory / "kept").rename(shell.directory / "away")
    left = shell.json("status", ended, *UP)
    assert (left["status"], left["total"], left["archived"]) == (
        before["status"],
        before["total"],
        archived["place"],
    )
    (file,) = (shell.directory / "away").iterdir()
    shell.json("import", str(file), *UP)
    assert shell.json("status", ended, *UP)["archived"] is None


def test_an_execution_in_an_object_store_is_read_there(
    shell: Shell, platform: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands find it with what stands in the environment; without the key they say what is left."""
    assert platform["ready"]
    objects = ObjectServer()
    for name, value in objects.environment.items():
        monkeypatch.setitem(shell.environment, name, value)
    ended = shell.json("run", "good.yaml", *UP)["execution_id"]
    before, events = shell.json("status", ended, *UP), shell.lines("events", ended, *UP)
    where = ("--to", "s3://kept/here")
    assert "NoSuchBucket" in shell.json("archive", ended, *where, *UP, code=1)["failed"][ended]
    assert shell.json("status", ended, *UP) == before
    objects.make_bucket("kept")
    (archived,) = shell.json("archive", ended, *where, *UP)["archived"]
    assert archived["place"].startswith(f"s3://kept/here/{ended}.")
    assert shell.json("status", ended, *UP) == before | {"archived": archived["place"]}
    assert shell.lines("events", ended, *UP) == events
    assert "verified" in shell.run("replay", ended, "--verify", *UP)
    (listed,) = [each for each in shell.json("list", *UP)["executions"] if each["execution_id"] == ended]
    assert listed["archived"] == archived["place"]

    monkeypatch.setitem(shell.environment, "AWS_SECRET_ACCESS_KEY", "wrong")
    assert shell.json("status", ended, *UP)["total"] == before["total"]
    (left,) = shell.lines("events", ended, *UP)
    assert (left["type"], left["place"]) == ("ExecutionArchived", archived["place"])
    objects.stop()


def test_a_service_archives_by_itself(shell: Shell, platform: dict[str, Any]) -> None:
    """What has been over for long enough goes while the service runs, and it ends when it is told to."""
    ended = shell.json("run", "good.yaml", *UP)["execution_id"]
    arguments = ("--retain", "1s", "--every", "1s", "--to", "kept", "--server", platform["server"], "--json")
    service = shell.start("service", "archiver", *arguments)
    deadline = time.monotonic() + 60
    while shell.json("status", ended, *UP)["archived"] is None:
        assert time.monotonic() < deadline, "it is not archived"
    assert wait_for(service, signal.SIGTERM) == 0


def test_a_directory_without_a_platform_is_archived(shell: Shell) -> None:
    """The command brings the scheduler that it needs; whoever runs there next finds all archived."""
    quiet = ("--data-dir", "quiet")
    ended = [shell.json("run", "good.yaml", *quiet)["execution_id"] for _ in range(2)]
    outcome = shell.json("archive", "--all-ended", "--to", "kept", *quiet)
    assert {each["execution_id"] for each in outcome["archived"]} == {*ended}, outcome
    assert shell.json("status", ended[0], *quiet)["archived"]
    assert "verified" in shell.run("replay", ended[1], "--verify", *quiet)
    assert shell.json("run", "good.yaml", *quiet)["status"] == "succeeded"


def test_what_is_not_said_clearly_is_refused(shell: Shell) -> None:
    """Nothing is archived unless it is said what; what is kept, and where, go together."""
    assert shell.json("archive", "--to", "kept", code=2)["error"]["code"] == "usage"
    assert shell.json("archive", "x", "--all-ended", code=2)["error"]["code"] == "usage"
    assert shell.json("up", "--retain", "30d", code=2)["error"]["code"] == "usage"
