"""What tests do with the containers of a checkout, and with the platform in them from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SERVICES = ("planner", "scheduler", "resource", "worker", "gateway", "projector")
LIMIT_S = 300


class Stack:
    """The containers of one checkout, under a project name and at ports of their own."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.project = f"talka-test-{os.getpid()}"
        self.image = f"{self.project}:latest"
        self._nats_port, self._http_port = free_ports(2)
        self.server = f"nats://127.0.0.1:{self._nats_port}"
        self.gateway = f"http://127.0.0.1:{self._http_port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKA_")}
        self._environment = kept | {
            "TALKA_NATS_PORT": str(self._nats_port),
            "TALKA_HTTP_PORT": str(self._http_port),
            "TALKA_IMAGE": self.image,
            "COMPOSE_FILE": str(checkout / "deploy" / "compose.yaml"),
            "COMPOSE_PROJECT_NAME": self.project,
        }

    def compose(self, *words: str) -> str:
        """Run ``docker compose`` and return what it prints."""
        return self.docker("compose", *words)

    def docker(self, *words: str) -> str:
        """Run ``docker`` and return what it prints."""
        return self._run(["docker", *words])

    def start(self, *words: str) -> None:
        """Start whatever does not run."""
        self.compose("up", "--detach", "--no-build", *words)

    def up(self) -> None:
        """Start whatever does not run, and return when all of it is healthy."""
        self.start("--wait", "--wait-timeout", "60")

    def kill(self, service: str) -> None:
        """Kill every container of a service."""
        self.compose("kill", "--signal", "SIGKILL", service)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine says of a service's containers, also of those that have ended."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids))
        return found

    def talka(self, *words: str) -> str:
        """Run a command of this machine's Talka against the platform, and return what it prints."""
        return self._run([sys.executable, "-m", "talka", *words, "--server", self.server])

    def _run(self, argv: Sequence[str]) -> str:
        done = subprocess.run(
            argv,
            cwd=self.checkout,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


def free_ports(count: int) -> list[int]:
    """Return ports that stay when a container is started again, which those of the engine's choice do not."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
