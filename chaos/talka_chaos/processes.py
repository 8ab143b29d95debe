"""The platform as real processes that may be killed, frozen and started again.

A `Cluster` is one nats-server, or several that store together, and one
``talka service`` process for each actor, sharing nothing but the server's
address. Nothing of it is modelled.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from talka_services.embedded.server import server_binary

READY_S = 30.0
EXIT_S = 30.0
POLL_S = 0.01
NATS = "nats"
NODES = ("n1", "n2", "n3")
SERVICES = ("planner", "scheduler", "resource")

CONFIGURATION = """\
listen: "127.0.0.1:{port}"
max_payload: 8MB
jetstream {{
  store_dir: "{store}"
  sync_interval: always
  max_memory_store: 2GB
  max_file_store: 1GB
}}
"""
NODE = """\
server_name: "{name}"
cluster {{ name: talka, listen: "127.0.0.1:{route}", routes: [{routes}] }}
"""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Program:
    """One process that keeps its name, command and log over restarts."""

    def __init__(self, name: str, command: Sequence[str], log: Path, ready: str) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._ready = ready
        self._offset = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the current run."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, without waiting for it to be ready."""
        assert not self.is_running, f"{self.name} runs already"
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Return when this run of it has said that it is ready."""
        deadline = time.monotonic() + READY_S
        while self._ready not in self.said():
            assert self.is_running, f"{self.name} ended before it was ready:\n{self.said()}"
            assert time.monotonic() < deadline, (
                f"{self.name} is not ready after {READY_S:g} s:\n{self.said()}"
            )
            await asyncio.sleep(POLL_S)

    def said(self) -> str:
        """Return what its current run has written."""
        with self.log.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace")

    def send(self, number: int) -> None:
        """Send a signal, and return at once."""
        self._running().send_signal(number)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out, and return when it is gone."""
        process = self._running()
        process.kill()
        process.wait(EXIT_S)

    def freeze(self) -> None:
        """Let it do nothing until it is thawed; its connections stay open."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self.send(signal.SIGCONT)

    async def exited(self, within_s: float = EXIT_S) -> int:
        """Return its exit code as soon as it has ended by itself."""
        process = self._running()
        deadline = time.monotonic() + within_s
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{self.name} still runs:\n{self.said()}"
            await asyncio.sleep(POLL_S)
        code = process.returncode
        assert isinstance(code, int)
        return code

    def discard(self) -> None:
        """End it in whatever state it is."""
        if self.is_running:
            self.thaw()
            self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was never started"
        return self._process


class Cluster:
    """Servers, the three services and any number of workers; the logs are in ``directory``.

    ``store`` is where the server, or each of the ``servers`` in a directory named like it, keeps its
    streams.
    """

    def __init__(
        self, directory: Path, *, store: Path | None = None, servers: Sequence[str] = (NATS,)
    ) -> None:
        self.directory = directory
        self.store = store or directory / "store"
        self.servers = tuple(servers)
        self.programs: dict[str, Program] = {}
        ports = {name: free_port() for name in servers}
        self.port = ports[servers[0]]
        self.url = ",".join(f"nats://127.0.0.1:{port}" for port in ports.values())
        routes = {name: free_port() for name in servers}
        for name in servers:
            text = CONFIGURATION.format(port=ports[name], store=self._store_of(name))
            if len(servers) > 1:
                joined = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes.values())
                text += NODE.format(name=name, route=routes[name], routes=joined)
            configuration = directory / f"{name}.conf"
            configuration.write_text(text)
            self._add(name, [str(server_binary()), "-c", str(configuration)], "Server is ready")
        for name in SERVICES:
            self._add(name, self._talka(name), f"{name} is ready")

    def _store_of(self, server: str) -> Path:
        return self.store if server == NATS else self.store / server

    def __getitem__(self, name: str) -> Program:
        return self.programs[name]

    def configure(self, name: str, *options: str) -> Program:
        """Define one of the services again, with these options; it must not have been started."""
        return self._add(name, self._talka(name, *options), f"{name} is ready")

    def add_standby(self, service: str) -> Program:
        """Define a second process of a service; it is not started yet."""
        return self._add(f"{service}-2", self._talka(service), f"{service} is ready")

    def add_worker(self, worker_id: str, *options: str, name: str = "") -> Program:
        """Define a worker process, named like its id unless told otherwise; it is not started yet."""
        command = self._talka(
            "worker", "--worker-id", worker_id, "--allow-module", "*", "--allow-command", "*", *options
        )
        return self._add(name or worker_id, command, f"worker {worker_id} is ready")

    async def start(self, *names: str) -> None:
        """Start these programs, or all of them, the server first, and return when they are ready."""
        chosen = names or tuple(self.programs)
        for wanted in (
            [self[name] for name in chosen if name in self.servers],
            [self[name] for name in chosen if name not in self.servers],
        ):
            for program in wanted:
                program.start()
            await asyncio.gather(*(program.ready() for program in wanted))

    def discard(self) -> None:
        """End every process."""
        for program in reversed(self.programs.values()):
            program.discard()

    def tracebacks(self) -> list[str]:
        """Return every traceback that a process of ours has logged, under the process's name."""
        found: list[str] = []
        for program in self.programs.values():
            if program.name not in self.servers and program.log.exists():
                text = program.log.read_text(errors="replace")
                found += [f"{program.name}: {match}" for match in _TRACEBACK.findall(text)]
        return found

    def tail(self, lines: int = 40) -> str:
        """Return the end of every log, to be shown when a test fails."""
        parts: list[str] = []
        for program in self.programs.values():
            if program.log.exists():
                ends = program.log.read_text(errors="replace").splitlines()[-lines:]
                parts.append("\n".join([f"--- {program.name}", *ends]))
        return "\n".join(parts)

    def _talka(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "talka", "service", *arguments, "--server", self.url]

    def _add(self, name: str, command: Sequence[str], ready: str) -> Program:
        program = self.programs[name] = Program(name, command, self.directory / f"{name}.log", ready)
        return program


_TRACEBACK = re.compile(r"Traceback \(most recent call last\):.*?\n(?=\S)[^\n]*", re.DOTALL)


def resident_mb(pid: int) -> float:
    """Return how much memory a process holds, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
