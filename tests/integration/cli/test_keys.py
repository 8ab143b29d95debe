"""``talka keys``, and what other commands do with them: audit, backup and restore of a sealed directory."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.cli.conftest import up
from tests.integration.cli.shell import GOOD, MODULE, Shell

VARIABLE = "TALKA_KEYS"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A directory with a file of keys that its commands know; it is gone when its keys are."""
    directory = tmp_path_factory.mktemp("keys")
    shell = Shell(directory)
    (directory / "good.yaml").write_text(GOOD)
    (directory / "hard_tasks.py").write_text(MODULE)
    shell.json("keys", "new", "keys.json")
    shell.environment[VARIABLE] = str(directory / "keys.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(directory / "keys.json"))
        yield shell
        shell.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_keys_are_made_rotated_and_shown_without_their_secrets(shell: Shell) -> None:
    """A new key is current at once, one on standby when it is told; the public file verifies only."""
    made = shell.json("keys", "new", "ring.json", "--no-encrypt")
    assert (made["encrypts"], made["signs"], len(made["keys"])) == (False, True, 1)
    rotated = shell.json("keys", "rotate", "ring.json")
    assert rotated["current"] != made["current"]
    waiting = shell.json("keys", "rotate", "ring.json", "--standby")
    assert waiting["current"] == rotated["current"]
    shell.json("keys", "use", waiting["keys"][-1]["id"], "ring.json")
    listed = shell.json("keys", "list", "ring.json")
    assert listed["current"] == waiting["keys"][-1]["id"]
    assert "signs" in shell.run("keys", "list", "ring.json")
    assert not any(
        each["has_secret"] for each in shell.json("keys", "public", "ring.json", "-o", "p.json")["keys"]
    )
    secrets = (shell.directory / "p.json").read_text()
    assert '"secret"' not in secrets


def test_what_cannot_be_is_refused(shell: Shell) -> None:
    """A file is never made over another one, and none that makes no sense is taken."""
    shell.json("keys", "new", "once.json")
    assert shell.json("keys", "new", "once.json", code=2)["error"]["code"] == "bad_key_file"
    assert shell.json("keys", "list", "missing.json", code=2)["error"]["code"] == "bad_key_file"
    assert shell.json("keys", "use", "nobody", "once.json", code=2)["error"]["code"] == "bad_key_file"
    assert (
        shell.json("keys", "new", "x.json", "--no-encrypt", "--no-sign", code=2)["error"]["code"] == "usage"
    )
    assert shell.json("keys", "list", code=2)["error"]["code"] == "usage"
    assert shell.json("audit", "--signatures", code=2)["error"]["code"] == "usage"


def test_a_sealed_directory_is_audited_saved_and_restored(sealed: Shell) -> None:
    """A clean audit has the read model note what it saw; a backup is as sealed as what it was taken from."""
    ran = sealed.json("run", "good.yaml", "--workers", "2", "--input", "pause=0.01")
    first = sealed.json("audit")
    assert first["clean"] is True
    assert first["sources"][0]["signatures"]["unsigned"] == 0
    second = sealed.json("audit", "--signatures")
    assert second["sources"][0]["signatures"]["anchored"] == first["sources"][0]["signatures"]["signed"] > 0
    sealed.json("keys", "rotate")
    sealed.json("backup", "saved")
    sealed.json("restore", "saved", "--data-dir", "again")
    assert "verified" in sealed.run("replay", ran["execution_id"], "--verify", "--data-dir", "again")
    assert sealed.json("audit", "--data-dir", "again")["clean"] is True


def test_a_file_that_was_tampered_with_is_found_out(sealed: Shell) -> None:
    """A signed export says itself where its logs end; a commit that is gone from it, or changed, is named."""
    ran = sealed.json("run", "good.yaml", "--workers", "2", "--input", "pause=0.01")
    sealed.run("export", ran["execution_id"], "-o", "honest.sqlite")
    log = f"execution.%{ran['execution_id']}"
    newest = f"(SELECT MAX(originator_version) FROM talka_events WHERE originator_id LIKE '{log}')"
    last = f"originator_id LIKE '{log}' AND originator_version = {newest}"
    tampering = {
        "cut.sqlite": f"DELETE FROM talka_events WHERE {last}",
        "changed.sqlite": "UPDATE talka_events "
        f"SET state = CAST(substr(state, 1, length(state) - 1) || x'00' AS BLOB) WHERE {last}",
        "manifest.sqlite": "UPDATE talka_events "
        "SET state = CAST(replace(state, 'default', 'another') AS BLOB) "
        "WHERE originator_id LIKE 'manifest.%'",
    }
    assert sealed.json("audit", "honest.sqlite")["clean"] is True
    kinds: dict[str, set[str]] = {}
    for name, statement in tampering.items():
        shutil.copy(sealed.directory / "honest.sqlite", sealed.directory / name)
        with sqlite3.connect(sealed.directory / name) as database:
            assert database.execute(statement).rowcount == 1
        database.close()
        found: dict[str, Any] = sealed.json("audit", name, "--signatures", code=1)
        kinds[name] = {each["kind"] for each in found["violations"]}
    assert "removed" in kinds["cut.sqlite"]
    assert "changed" in kinds["changed.sqlite"]
    assert "changed" in kinds["manifest.sqlite"]


@pytest.mark.slow
def test_a_sealed_platform_is_seen_triggered_and_archived(sealed: Shell) -> None:
    """Whoever reads the stream as it comes opens it first: figures, new triggers, and the archiver."""
    where = ("--data-dir", "seen")
    up = sealed.start("up", *where, "--http-port", "0", "--json")
    assert up.stdout is not None
    address = json.loads(up.stdout.readline())["http"]
    with httpx.Client(base_url=address, timeout=10) as ask:
        sealed.run("trigger", "create", "orders", "--on", "order.placed", "--start", "good.yaml", *where)
        sealed.run("publish", "order.placed", *where)
        ended = sealed.json("run", "good.yaml", *where)["execution_id"]
        deadline = time.monotonic() + 60
        while len(ask.get("/api/v1/executions").json()["executions"]) < 2:
            assert time.monotonic() < deadline, "the trigger has started nothing"
        assert "talka_execution_ended_total" in ask.get("/metrics").text
    (archived,) = sealed.json("archive", ended, "--to", "lies", *where)["archived"]
    assert archived["execution_id"] == ended
    assert sealed.json("audit", *where)["clean"]
    up.terminate()
    assert up.stderr is not None
    said = up.stderr.read().decode()
    assert up.wait(30) == 0
    assert "does not open" not in said


def test_the_gateway_compares_with_the_read_model_of_its_directory(sealed: Shell) -> None:
    """Nothing is said about it: `talka up` finds the file that a clean audit has left there."""
    with up(sealed, "--http-port", "0") as ready:
        sealed.json("run", "good.yaml", "--input", "pause=0.01", "--data-dir", "up")
        with httpx.Client(base_url=f"{ready['http']}/api/v1", timeout=30) as http:
            assert http.get("/audit").json()["signatures"]["anchored"] == 0
            assert sealed.json("audit", "--data-dir", "up")["clean"] is True
            compared = http.get("/audit").json()
    assert compared["clean"] is True
    assert 0 < compared["signatures"]["anchored"] <= compared["signatures"]["signed"]
