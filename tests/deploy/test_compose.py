"""The files of compose: they make sense to it, alone and on top of each other, and leave no service out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
PLAIN, SECURE = "compose.yaml", "compose.secure.yaml"
OURS = {"planner", "scheduler", "resource", "worker", "gateway", "projector"}


def read(name: str) -> dict[str, Any]:
    """Return what a file says, as it stands there."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", [PLAIN, SECURE])
def test_what_is_mounted_is_there(name: str) -> None:
    """Every file and folder of the checkout that a container is given exists."""
    services = read(name)["services"]
    places = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    mounted = [place for place in places if place.startswith("./")]
    assert mounted
    assert [place for place in mounted if not (DEPLOY / place).exists()] == []


def test_every_service_has_a_key_of_its_own() -> None:
    """What connects to the server does so over TLS, with its key, and seals what it stores."""
    document = read(SECURE)
    assert document["services"].keys() == OURS | {"nats", "prometheus"}
    for name in OURS:
        service = document["services"][name]
        assert {"source": name, "target": "nkey"} in service["secrets"]
        assert "keys" in service["secrets"]
        assert document["secrets"][name]["file"].endswith(f"/keys/default/{name}.nk")
        assert service["environment"] == {
            "TALKA_SERVER": "tls://nats:4222",
            "TALKA_NATS_CA": "/etc/talka/ca.pem",
            "TALKA_NATS_NKEY": "/run/secrets/nkey",
            "TALKA_KEYS": "/run/secrets/keys",
        }
    words = " ".join(document["services"]["gateway"]["command"])
    assert "--access" in words
    assert "--insecure" not in words


def has_compose() -> bool:
    """Tell whether compose is here; it needs no engine to check files."""
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return done.returncode == 0


def merged(*names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Have compose check files against its schema, and put them together."""
    if not has_compose():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("docker compose is not installed here")
    files = [part for name in names for part in ("--file", str(DEPLOY / name))]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKA_")}
    argv = ["docker", "compose", *files, "--profile", "*", "config"]
    return subprocess.run(
        argv, env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.slow
@pytest.mark.containers
def test_compose_takes_them() -> None:
    """Without a word of complaint; put together, nothing that protects a container is lost."""
    plain, both = merged(PLAIN), merged(PLAIN, SECURE, TALKA_GROUP="1000", TALKA_SECRETS="/made")
    assert (plain.returncode, plain.stderr, both.returncode, both.stderr) == (0, "", 0, "")
    before, after = (yaml.safe_load(done.stdout)["services"] for done in (plain, both))
    assert before.keys() == after.keys()
    for name in (*OURS, "nats"):
        for kept in ("read_only", "cap_drop", "security_opt", "tmpfs", "restart", "ports", "image"):
            assert after[name].get(kept) == before[name].get(kept), (name, kept)
        assert after[name]["group_add"] == ["1000"]
    (configuration, store) = after["nats"]["volumes"]
    assert configuration["source"] == str(DEPLOY / "nats" / "secure.conf")
    assert configuration["target"] == "/etc/talka/nats.conf"
    assert store["target"] == "/data"
    assert after["gateway"]["environment"]["READY_URL"] == before["gateway"]["environment"]["READY_URL"]
    secrets = yaml.safe_load(both.stdout)["secrets"]
    assert {Path(secret["file"]).parts[1] for secret in secrets.values()} == {"made"}


@pytest.mark.slow
@pytest.mark.containers
def test_the_group_of_the_secrets_has_to_be_named() -> None:
    """Without it no service could read its key, so it is asked for before anything starts."""
    done = merged(PLAIN, SECURE)
    assert done.returncode != 0
    assert "TALKA_GROUP" in done.stderr
