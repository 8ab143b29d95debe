"""The NATS configurations: a server takes them, and none of them loses what it acknowledged."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from talka_services.embedded.directory import CONFIGURATION, SYNC_INTERVAL
from talka_services.embedded.server import server_binary

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


def test_what_compose_mounts_is_there() -> None:
    """Every file and folder of the checkout that a container is given exists."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    places = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    mounted = [place for place in places if place.startswith("./")]
    assert len(mounted) == 3
    assert [place for place in mounted if not (DEPLOY / place).exists()] == []
