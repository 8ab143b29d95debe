"""A NATS server as the documentation sets it up: TLS, a key for each service, and permissions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme
from tests.conftest import NatsServer
from typer.testing import CliRunner

from talka_protocols.subjects import Names
from talka_services.cli.main import app
from talka_services.jetstream.access import Access
from talka_services.jetstream.connection import Connection, connect

CONFIGURATION = """\
listen: "127.0.0.1:{port}"
max_payload: 8MB
jetstream {{ store_dir: "{store}/jetstream", sync_interval: "2m", max_memory_store: 2GB }}
tls {{ cert_file: "{store}/server.pem", key_file: "{store}/server.key" }}
include "users.conf"
"""
VIOLATION = re.compile(r"\[ERR\].*Violation.*")


class PermittedServer(NatsServer):
    """It keeps what was refused in its log; ``keys`` has a directory for each namespace."""

    def __init__(self, directory: Path, namespaces: Sequence[str], *more: str) -> None:
        self.directory = directory
        self.keys = directory / "keys"
        self.ca = directory / "ca.pem"
        self._seen = 0
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(self.ca)
        certificate.private_key_pem.write_to_path(directory / "server.key")
        certificate.cert_chain_pems[0].write_to_path(directory / "server.pem")
        tenants = [part for namespace in namespaces for part in ("--tenant", namespace)]
        workers = ["--worker", "w1", "--worker", "w2"]
        talka("nats-keys", str(self.keys), *tenants, *workers)
        users = talka("nats-permissions", "--keys", str(self.keys), *tenants, *workers, *more)
        (directory / "users.conf").write_text(users)
        super().__init__(directory, CONFIGURATION)
        self.url = self.url.replace("nats://", "tls://")

    def access(self, namespace: str, user: str) -> Access:
        """Return how a user of a namespace shows who it is."""
        return Access(nkey=self.keys / namespace / f"{user}.nk", ca=self.ca)

    async def connect(self, namespace: str, user: str) -> Connection:
        """Connect as a user, into its own namespace."""
        return await connect(self.url, user, Names(namespace), self.access(namespace, user))

    async def command(self, user: str, words: str, directory: Path) -> tuple[int, str]:
        """Run a command as a user of the namespace ``one``; return how it ended and what it said."""
        access = self.access("one", user)
        where = ["--server", self.url, "--namespace", "one"]
        shown = ["--nats-nkey", str(access.nkey), "--nats-ca", str(access.ca)]
        arguments = [word.replace("+", " ").replace("@", f"{directory}/") for word in words.split()]
        done: Any = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *where, *shown])
        return done.exit_code, f"{done.output} {done.exception or ''}"

    def violations(self) -> list[str]:
        """Return what the server has refused since this was asked last."""
        found = VIOLATION.findall((self.directory / "nats.log").read_text())
        self._seen, before = len(found), self._seen
        return found[before:]


def talka(*words: str) -> str:
    """Run ``talka deploy`` and return what it printed."""
    done: Any = CliRunner().invoke(app, ["deploy", *words])
    assert done.exit_code == 0, done.output
    return str(done.stdout)
