"""Fixtures for tests that need a real NATS server: one per session, one namespace per test."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from talka_chaos.verifier import Verifier
from talka_protocols.subjects import Names
from talka_services.embedded.server import server_binary
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.topology import ensure_topology, streams

CONFIGURATION = """\
listen: "127.0.0.1:{port}"
max_payload: 8MB
jetstream {{ store_dir: "{store}", sync_interval: "2m", max_memory_store: 8GB }}
"""

_numbers = itertools.count(1)


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class NatsServer:
    """A nats-server that a test may kill and start again on the same port and store."""

    def __init__(self, directory: Path, configuration: str = CONFIGURATION) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._configuration = directory / "nats.conf"
        self._configuration.write_text(configuration.format(port=self.port, store=directory))
        self._log = directory / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and return when it accepts connections."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [server_binary(), "-c", str(self._configuration)],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.01)
            else:
                return

    @property
    def is_running(self) -> bool:
        """Tell whether the process runs."""
        return self._process is not None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the process a signal and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        """Kill the process, as the kernel does when memory runs out."""
        self.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def verifier() -> Verifier:
    """What verifies the histories that tests make, each again only when it has grown."""
    return Verifier()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server that all tests of the session share; do not stop it."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of the test's own, to be killed and started again at will."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def names() -> Names:
    """A namespace that no other test uses."""
    return Names(f"test_{os.getpid()}_{next(_numbers)}")


@pytest.fixture
async def connection(nats_server: NatsServer, names: Names) -> AsyncIterator[Connection]:
    """A connection to the shared server, in a namespace of the test's own whose streams exist."""
    connection = await connect(nats_server.url, "test", names)
    try:
        await ensure_topology(connection)
        yield connection
        for stream in streams(connection):
            await connection.js.delete_stream(stream["name"])
    finally:
        await connection.close()
