"""The NATS configurations: a server takes them, and none of them loses what it acknowledged."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import trustme

from talka_core.deployment import Account, Member, configuration
from talka_protocols.permissions import Service, User
from talka_services.embedded.directory import CONFIGURATION, SYNC_INTERVAL
from talka_services.embedded.server import server_binary
from talka_services.jetstream.access import new_seed, public_key

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = sorted((DEPLOY / "nats").glob("*.conf"))
CHART = DEPLOY / "helm" / "talka" / "templates" / "nats.yaml"
SETTING = re.compile(r"^ *(\w+): *(.+)$", re.MULTILINE)
OF_THE_PLACE = {"server_name", "listen", "store_dir", "log_file", "logfile_size_limit", "logfile_max_num"}


def settings(text: str) -> dict[str, str]:
    """Return the settings of a configuration that say what the server does, and not where."""
    found = {name: value for name, value in SETTING.findall(text) if name not in OF_THE_PLACE}
    return {name: value for name, value in found.items() if "{" not in value or name == "sync_interval"}


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_server_takes_it(file: Path, tmp_path: Path) -> None:
    """The server reads it without a word of complaint."""
    text = file.read_text(encoding="utf-8").replace('"/data"', f'"{tmp_path}"')
    certificate = trustme.CA().issue_cert("nats")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key")
    for place in ("/etc/talka", "/run/secrets"):
        text = text.replace(f'"{place}/', f'"{tmp_path}/')
    key = public_key(_seed(tmp_path))
    users = configuration([Account("default", (Member(User(Service.ADMIN), key),))], is_divided=True)
    (tmp_path / "users.conf").write_text(users, encoding="utf-8")
    (tmp_path / "nats.conf").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [server_binary(), "-t", "-c", str(tmp_path / "nats.conf")],
        env={**os.environ, "TALKA_NATS_NAME": "nats-0"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()


def _seed(directory: Path) -> Path:
    file = directory / "admin.nk"
    file.write_bytes(new_seed())
    return file


@pytest.mark.parametrize("file", [*FILES, CHART], ids=lambda path: path.stem)
def test_an_acknowledged_commit_survives_a_loss_of_power(file: Path) -> None:
    """Every one, the chart's too, syncs before it acknowledges, and takes messages as large as others do."""
    found = settings(file.read_text(encoding="utf-8"))
    assert found["sync_interval"] == SYNC_INTERVAL["power"] == "always"
    assert found["max_payload"] == settings(CONFIGURATION)["max_payload"]


def test_the_embedded_one_is_what_the_embedded_server_is_set_to() -> None:
    text = (DEPLOY / "nats" / "embedded.conf").read_text(encoding="utf-8")
    embedded = settings(CONFIGURATION) | {"sync_interval": SYNC_INTERVAL["power"]}
    assert settings(text) == embedded
