"""``talka deploy``: keys for their owner's eyes, and users that a server takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from talka_services.cli.main import app
from talka_services.embedded.server import server_binary


def deploy(*words: str, code: int = 0) -> str:
    """Run a command and return what it printed."""
    done: Any = CliRunner().invoke(app, ["deploy", *words])
    assert done.exit_code == code, done.output
    return str(done.stdout)


def test_keys_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    """A second time the same ones are shown; each is readable by its owner alone."""
    words = ("nats-keys", str(tmp_path / "keys"), "--worker", "w1", "--json")
    made = json.loads(deploy(*words))
    assert json.loads(deploy(*words)) == made
    assert {key["name"] for key in made} >= {"planner", "worker-w1", "client", "admin"}
    assert len({key["nkey"] for key in made}) == len(made)
    for key in made:
        assert Path(key["file"]).stat().st_mode & 0o777 == 0o600
        assert Path(key["file"]).read_text().startswith("SU")


@pytest.mark.parametrize("more", [(), ("--accounts",)])
@pytest.mark.parametrize("has_keys", [True, False])
def test_a_server_takes_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], has_keys: bool
) -> None:
    """Of two tenants, in one account or in two, with keys of files or of the server's environment."""
    tenants = ("--tenant", "one", "--tenant", "two-b")
    made = json.loads(deploy("nats-keys", str(tmp_path / "keys"), *tenants, "--json"))
    keys = ("--keys", str(tmp_path / "keys")) if has_keys else ()
    text = deploy("nats-permissions", *tenants, *keys, *more)
    for key in made:
        assert (key["nkey"] in text) is has_keys
        name = f"TALKA_NKEY_{key['namespace']}_{key['name']}".upper().replace("-", "_")
        monkeypatch.setenv(name, key["nkey"])
    (tmp_path / "nats.conf").write_text(f'{text}\njetstream {{ store_dir: "{tmp_path}" }}\n')
    done = subprocess.run(
        [server_binary(), "-t", "-c", str(tmp_path / "nats.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_permissions_as_data() -> None:
    """One worker of one pool, and nobody else."""
    words = ("nats-permissions", "--service", "worker", "--worker", "w1@gpu", "--format", "json")
    ((user,),) = [account["users"] for account in json.loads(deploy(*words))]
    assert user["name"] == "worker-w1"
    assert "talka.default.live.heartbeat.gpu.w1" in user["publish"]
    assert not [subject for subject in user["publish"] if "PURGE" in subject or "STREAM.DELETE" in subject]


@pytest.mark.parametrize(
    "words",
    [
        ("nats-permissions", "--format", "xml"),
        ("nats-permissions", "--worker", "a.b"),
        ("nats-permissions", "--tenant", "a.b"),
        ("nats-permissions", "--keys", "nowhere"),
    ],
)
def test_nonsense_is_refused(words: tuple[str, ...]) -> None:
    """Nothing is printed that a server could be given."""
    assert deploy(*words, code=1) == ""
