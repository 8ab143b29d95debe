"""The platform as real processes that may be killed, frozen and started again.

A `Cluster` is one nats-server, or several that store together, and one
``talka service`` process for each actor, sharing nothing but the server's
address. Nothing of it is modelled. On Linux no process outlives whoever
started it, however that ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from talka_services.embedded.server import server_binary

READY_S = 90.0
EXIT_S = 30.0
POLL_S = 0.01
NATS = "nats"
NODES = ("n1", "n2", "n3")
SERVICES = ("planner", "scheduler", "resource")

CONFIGURATION = """\
listen: "{host}:{port}"
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
cluster {{ name: talka, listen: "127.0.0.1:{route}", routes: [{routes}]{more} }}
"""


_PR_SET_PDEATHSIG = 1
_LIBC: ctypes.CDLL | None = ctypes.CDLL(None) if sys.platform == "linux" else None


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Program:
    """One process that keeps its name, command and log over restarts.

    ``environment`` is what it has besides the variables of this process.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, ready: str) -> None:
        self.name = name
        self.log = log
        self.environment: Mapping[str, str] = {}
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
                env={**os.environ, **self.environment},
                preexec_fn=_ending_with_us(),  # noqa: PLW1509  (it calls the kernel and nothing else)
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
    streams; ``host`` is the address that the servers listen at.
    """

    node_options = ""
    """More of the configuration of servers that store together."""

    def __init__(
        self,
        directory: Path,
        *,
        store: Path | None = None,
        servers: Sequence[str] = (NATS,),
        host: str = "127.0.0.1",
    ) -> None:
        self.directory = directory
        self.store = store or directory / "store"
        self.servers = tuple(servers)
        self.programs: dict[str, Program] = {}
        ports = {name: free_port() for name in servers}
        self.port = ports[servers[0]]
        self.url = ",".join(f"nats://127.0.0.1:{port}" for port in ports.values())
        self.route_ports = {name: free_port() for name in servers}
        for name in servers:
            text = CONFIGURATION.format(host=host, port=ports[name], store=self._store_of(name))
            if len(servers) > 1:
                joined = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.routes_of(name))
                text += NODE.format(
                    name=name, route=self.route_ports[name], routes=joined, more=self.node_options
                )
            configuration = directory / f"{name}.conf"
            configuration.write_text(text)
            self._add(name, [str(server_binary()), "-c", str(configuration)], "Server is ready")
        for name in SERVICES:
            self._add(name, self._talka(name), f"{name} is ready")

    def _store_of(self, server: str) -> Path:
        return self.store if server == NATS else self.store / server

    def __getitem__(self, name: str) -> Program:
        return self.programs[name]

    def routes_of(self, name: str) -> Sequence[int]:  # noqa: ARG002  (others may be asked for the same port)
        """Return the ports at which one of several servers finds the others."""
        return list(self.route_ports.values())

    def configure(
        self, name: str, *options: str, server: str | None = None, prefix: Sequence[str] = ()
    ) -> Program:
        """Define one of the services again, with these options; it must not have been started.

        It finds the server at another address if told to, and is started by the ``prefix``.
        """
        return self._add(name, [*prefix, *self._talka(name, *options, server=server)], f"{name} is ready")

    def add_standby(self, service: str) -> Program:
        """Define a second process of a service; it is not started yet."""
        return self._add(f"{service}-2", self._talka(service), f"{service} is ready")

    def add_worker(
        self,
        worker_id: str,
        *options: str,
        name: str = "",
        server: str | None = None,
        prefix: Sequence[str] = (),
    ) -> Program:
        """Define a worker process, named like its id unless told otherwise; it is not started yet."""
        allowed = ("--allow-module", "*", "--allow-command", "*")
        command = self._talka("worker", "--worker-id", worker_id, *allowed, *options, server=server)
        return self._add(name or worker_id, [*prefix, *command], f"worker {worker_id} is ready")

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

    def _talka(self, *arguments: str, server: str | None = None) -> list[str]:
        return [sys.executable, "-m", "talka", "service", *arguments, "--server", server or self.url]

    def _add(self, name: str, command: Sequence[str], ready: str) -> Program:
        program = self.programs[name] = Program(name, command, self.directory / f"{name}.log", ready)
        return program


_TRACEBACK = re.compile(r"Traceback \(most recent call last\):.*?\n(?=\S)[^\n]*", re.DOTALL)


def _ending_with_us() -> Callable[[], None] | None:
    """Return what a new process has to do first so that it ends with the thread that started it."""
    return partial(_end_with, os.getpid(), _LIBC) if _LIBC is not None else None


def _end_with(parent: int, libc: ctypes.CDLL) -> None:
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It ended in between, so that nobody would be told.
        os._exit(1)


def resident_mb(pid: int) -> float:
    """Return how much memory a process holds, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
