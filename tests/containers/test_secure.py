"""The platform in containers with security on, as the documentation sets it up: it works, for nobody else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.containers.conftest import ROOT, up
from tests.containers.stack import SERVICES, Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.containers,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("containers"),
]

FILES = ("compose.yaml", "compose.secure.yaml")
BLOCK = re.compile(r"^```bash run\n(mkdir -p deploy/secure.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = "chickadee"


@pytest.fixture(scope="module")
def secrets(checkout: Path) -> Path:
    """What the commands of the documentation make, in a checkout."""
    (commands,) = BLOCK.findall((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=checkout,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )
    return checkout / "deploy" / "secure"


@pytest.fixture(scope="module")
def secure(checkout: Path, secrets: Path) -> Iterator[Stack]:
    """The platform with security on; its client has what it needs."""
    settings = {
        "TALKA_GROUP": str(os.getgid()),
        "TALKA_NATS_CA": str(secrets / "ca.pem"),
        "TALKA_NATS_NKEY": str(secrets / "keys" / "default" / "client.nk"),
        "TALKA_KEYS": str(secrets / "keys.json"),
    }
    yield from up(Stack(checkout, "secure", FILES, settings, "tls"))


def test_the_quickstart_runs_on_it(secure: Stack, secrets: Path) -> None:
    """With the client's key and over TLS; who has a token sees it, and who has none is refused."""
    done = json.loads(secure.talka("run", "docs/examples/quickstart.yaml", "--json"))
    assert done["status"] == "succeeded"
    path = f"/api/v1/executions/{done['execution_id']}"
    with httpx.Client(base_url=secure.gateway, timeout=10) as ask:
        assert ask.get("/readyz").json()["status"] == "ready"
        for refused in (path, "/metrics", "/api/v1/me"):
            assert ask.get(refused).status_code == 401
        for role in ("admin", "viewer"):
            bearer = {"Authorization": f"Bearer {(secrets / f'{role}.token').read_text().strip()}"}
            assert ask.get("/api/v1/me", headers=bearer).json()["role"] == role
            assert ask.get(path, headers=bearer).json()["status"] == "succeeded"
        assert "talka_execution_ended_total" in ask.get("/metrics", headers=bearer).text
        assert ask.post(f"{path}/cancel", headers=bearer).status_code == 403
    assert "Violation" not in secure.compose("logs", "nats")


def test_who_shows_nothing_or_something_else_is_refused(secure: Stack, secrets: Path) -> None:
    """Without a key, with a stranger's, without the server's authority, and with another service's."""
    assert "refused who we say we are" in secure.refused("list", TALKA_NATS_NKEY="")
    stranger = secrets.parent / "stranger"
    secure.talka("deploy", "nats-keys", str(stranger), "--service", "client")
    known = {"TALKA_NATS_NKEY": str(stranger / "default" / "client.nk")}
    assert "refused who we say we are" in secure.refused("list", **known)
    assert "TLS" in secure.refused("list", TALKA_NATS_CA="")
    reader = {"TALKA_NATS_NKEY": str(secrets / "keys" / "default" / "projector.nk")}
    assert "nats-permissions" in secure.refused("publish", "order.placed", **reader)


def test_what_is_stored_is_sealed_and_signed(secure: Stack, secrets: Path) -> None:
    """The server's files do not show what a task said, and every commit carries a signature that holds."""
    workflow = secrets.parent / "said.yaml"
    workflow.write_text(
        f"talka: 1\nname: said\ntasks: [{{id: a, agent_type: command, payload: {{argv: [echo, {SAID}]}}}}]\n"
    )
    done = json.loads(secure.talka("run", str(workflow), "--json"))
    assert done["tasks"]["a"]["result"]["stdout"].strip() == SAID
    search = f"grep -rq {done['execution_id']} /data && ! grep -rq {SAID} /data"
    secure.compose("exec", "-T", "nats", "sh", "-c", search)
    found = json.loads(secure.talka("audit", "--signatures", "--json"))
    assert found["clean"]
    (signatures,) = [source["signatures"] for source in found["sources"]]
    assert signatures["unsigned"] == 0
    assert signatures["signed"] > 0


def test_each_service_has_its_own_key_and_no_other_secret(secure: Stack) -> None:
    """Nothing of the operator's or of another service is in a container, and nothing can be written to."""
    for service in SERVICES:
        for container in secure.containers(service):
            assert container["State"]["Health"]["Status"] == "healthy"
            assert container["HostConfig"]["ReadonlyRootfs"]
            mounts = {each["Destination"]: each for each in container["Mounts"]}
            assert not any(each["RW"] for place, each in mounts.items() if not place.startswith("/var/lib"))
            assert mounts["/run/secrets/nkey"]["Source"].endswith(f"/keys/default/{service}.nk")
            secret = {place for place in mounts if place.startswith("/run/secrets/")}
            allowed = {"/run/secrets/nkey", "/run/secrets/keys"}
            assert secret == (allowed | {"/run/secrets/access"} if service == "gateway" else allowed)
