"""The image: small, nobody's root, and content with a file system that it cannot write to."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from tests.containers.stack import SERVICES, Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.containers,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("containers"),
]

OURS_MB_MAX = 200
"""What the image may have on top of its base image."""
FORBIDDEN = ("touch /opt/talka/x", "touch /var/lib/talka/x", "touch /usr/x")


def test_it_is_small(stack: Stack) -> None:
    """Of what is in it, only the base image is not ours to keep small."""
    base = os.environ.get("PYTHON_IMAGE", "python:3.11-slim")
    whole, below = (
        int(stack.docker("image", "inspect", "--format", "{{.Size}}", image)) for image in (stack.image, base)
    )
    assert whole - below < OURS_MB_MAX * 1e6


def test_every_container_is_kept_from_what_it_does_not_need(stack: Stack) -> None:
    """No root, no capability, no new privileges, a read-only file system, and a check of its health."""
    for service in SERVICES:
        for container in stack.containers(service):
            assert container["Config"]["User"] == "10001:10001"
            assert container["HostConfig"]["ReadonlyRootfs"]
            assert container["HostConfig"]["CapDrop"] == ["ALL"]
            assert container["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
            assert container["State"]["Health"]["Status"] == "healthy"


@pytest.mark.parametrize("command", FORBIDDEN)
def test_nothing_can_be_changed_in_it(stack: Stack, command: str) -> None:
    """Neither by what is read-only nor by whose it is; only /tmp is for a task to write to."""
    stack.compose("exec", "-T", "planner", "sh", "-c", "test $(id -u) = 10001 && touch /tmp/x && rm /tmp/x")
    with pytest.raises(AssertionError, match=r"Read-only file system|Permission denied"):
        stack.compose("exec", "-T", "planner", "sh", "-c", command)


def test_it_runs_alone(stack: Stack) -> None:
    """A whole platform in one container, with its server, on nothing but a temporary file system."""
    alone = (
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp:mode=1777",
        "--cap-drop",
        "ALL",
    )
    mount = f"{stack.checkout}/docs/examples/quickstart.yaml:/quickstart.yaml:ro"
    words = ("run", "/quickstart.yaml", "--data-dir", "/tmp/data", "--time-scale", "0.05", "--json")
    done = json.loads(stack.docker(*alone, "--volume", mount, stack.image, *words))
    assert done["status"] == "succeeded"


def test_it_has_what_its_options_need(stack: Stack) -> None:
    """Object stores, issuers of tokens, collectors of traces, a read model in PostgreSQL."""
    modules = "import jwt, obstore, opentelemetry.exporter.otlp.proto.http, psycopg_pool"
    stack.docker("run", "--rm", "--entrypoint", "python3", stack.image, "-c", modules)


def test_an_unready_service_is_unhealthy(stack: Stack) -> None:
    """What the image asks of a process fails where nobody answers."""
    check = json.loads(
        stack.docker("image", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", stack.image)
    )
    words = ["docker", "run", "--rm", "--entrypoint", check[1], stack.image, *check[2:]]
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0
