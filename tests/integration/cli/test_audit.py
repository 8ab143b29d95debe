"""``talka audit`` on live logs and exported files, clean and tampered with."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import Any

from tests.integration.cli.shell import Shell

from talka_services.cli.moments import is_duration
from talka_services.client.asking import this_user


def test_a_data_directory_and_an_export_are_clean(shell: Shell, good: dict[str, Any]) -> None:
    """What has run is audited where it lies and from its file, with the same numbers of its own."""
    live = shell.json("audit")
    assert live["clean"] is True
    assert live["violations"] == []
    assert live["sources"][0]["source"] == "default"
    shell.run("export", good["execution_id"], "-o", "audited.sqlite")
    exported = shell.json("audit", "audited.sqlite", "--data-dir", "nowhere")
    attempts = sum(task["attempts"] for task in good["tasks"].values())
    assert exported["clean"] is True
    assert exported["sources"][0]["attempts"] == attempts
    assert attempts <= live["sources"][0]["attempts"]
    assert "clean" in shell.run("audit", "audited.sqlite", "--since", "2h")


def test_an_imported_execution_is_counted_and_not_held_against_this_pool(
    shell: Shell, good: dict[str, Any]
) -> None:
    """Its allocations were another pool's, so their absence here is no violation."""
    shell.run("export", good["execution_id"], "-o", "moved.sqlite")
    shell.json("import", "moved.sqlite", "--namespace", "elsewhere")
    (source,) = shell.json("audit", "--namespace", "elsewhere")["sources"]
    assert source["imported"] == source["attempts"] > 0
    assert source["violations"] == 0


def test_who_asked_for_what_is_told_from_logs_and_files(shell: Shell, good: dict[str, Any]) -> None:
    """The user of this machine, for the submission; also where only an exported file is read."""
    name = good["execution_id"]
    live = shell.json("audit", "--who", name)["requests"]
    assert {each["asked_by"] for each in live} == {this_user()}
    assert live[0]["events"] == ["PlanAccepted"]
    shell.run("export", name, "-o", "asked.sqlite")
    assert shell.json("audit", "--who", "asked.sqlite", "--data-dir", "nowhere")["requests"] == live
    assert this_user() in shell.run("audit", "--who", name)
    assert shell.json("audit", "--who", f"plan:{name}")["requests"] == live[:1]
    assert shell.json("audit", "--who", "nothing", code=2)["error"]["code"] == "unknown_execution"
    assert shell.json("audit", "--who", "schedule:nothing", code=2)["error"]
    assert shell.json("audit", "asked.sqlite", "--who", name, code=2)["error"]
    own = [json.loads(line) for line in shell.run("events", f"plan:{name}", "--json").splitlines()]
    assert own[0]["asked_by"] == this_user()
    assert "asked_by" not in own[-1]


def test_a_tampered_file_is_found_out(shell: Shell, good: dict[str, Any]) -> None:
    """Without its pool's commits no attempt of the file ran on anything; that is exit code 1, with places."""
    shell.run("export", good["execution_id"], "-o", "honest.sqlite")
    shutil.copy(shell.directory / "honest.sqlite", shell.directory / "tampered.sqlite")
    with sqlite3.connect(shell.directory / "tampered.sqlite") as database:
        database.execute("DELETE FROM talka_events WHERE originator_id LIKE 'pool.%'")
    database.close()
    found = shell.json("audit", "honest.sqlite", "tampered.sqlite", code=1)
    assert found["clean"] is False
    assert [source["violations"] > 0 for source in found["sources"]] == [False, True]
    first = found["violations"][0]
    assert (first["kind"], first["source"]) == ("used_ungranted", "tampered.sqlite")
    assert first["log"] == f"execution.{good['execution_id']}"
    assert first["version"] > 0
    assert first["hint"]
    shown = shell.run("audit", "tampered.sqlite", code=1)
    assert "used_ungranted" in shown
    assert "no pool has granted" in shown
    later = shell.json("audit", "tampered.sqlite", "--since", "2100-01-01T00:00:00+00:00")
    assert later["clean"] is True


def test_bad_input_is_refused(shell: Shell) -> None:
    """What is no file, no export or no instant is named, with exit code 2."""
    assert shell.json("audit", "missing.sqlite", code=2)["error"]["code"] == "usage"
    (shell.directory / "text.txt").write_text("no export")
    assert shell.json("audit", "text.txt", code=2)["error"]["code"] == "bad_archive"
    assert shell.json("audit", "--since", "yesterday", code=2)["error"]["code"] == "usage"
    assert shell.json("audit", "--data-dir", "nowhere", code=2)["error"]["code"] == "data_directory"


def test_a_duration_is_told_from_an_instant() -> None:
    """A number with a unit says how long ago; a date does not."""
    assert is_duration("1h30m")
    assert not is_duration("2030-01-01")
