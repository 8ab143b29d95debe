"""What tests do with the containers of a checkout, and with the platform in them from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SERVICES = ("planner", "scheduler", "resource", "worker", "gateway", "projector")
LIMIT_S = 300


class Stack:
    """The containers of one checkout, under a project name and at ports of their own.

    ``files`` of the folder ``deploy`` say what they are, each more than the one before it.
    ``settings`` are for the environment; the platform's address begins with ``scheme``.
    """

    def __init__(
        self,
        checkout: Path,
        name: str = "test",
        files: Sequence[str] = ("compose.yaml",),
        settings: Mapping[str, str] | None = None,
        scheme: str = "nats",
    ) -> None:
        self.checkout = checkout
        self.project = f"talka-{name}-{os.getpid()}"
        self.image = f"talka-test-{os.getpid()}:latest"
        self._nats_port, self._http_port = free_ports(2)
        self.server = f"{scheme}://127.0.0.1:{self._nats_port}"
        self.gateway = f"http://127.0.0.1:{self._http_port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKA_")}
        self._environment = kept | {
            "TALKA_NATS_PORT": str(self._nats_port),
            "TALKA_HTTP_PORT": str(self._http_port),
            "TALKA_IMAGE": self.image,
            "COMPOSE_FILE": os.pathsep.join(str(checkout / "deploy" / file) for file in files),
            "COMPOSE_PROJECT_NAME": self.project,
            **(settings or {}),
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
        return self._run(self._command(words))

    def refused(self, *words: str, **settings: str) -> str:
        """Run a command that has to fail, with other settings, and return what it says on standard error."""
        done = self._ended(self._command(words), {**self._environment, **settings})
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _command(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "talka", *words, "--server", self.server]

    def _run(self, argv: Sequence[str]) -> str:
        done = self._ended(argv, self._environment)
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def _ended(self, argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            cwd=self.checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )


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
