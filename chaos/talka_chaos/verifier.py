"""Verifies what is recorded on a server or in a store: ``talka replay --verify`` and ``talka audit``."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from talka_chaos.processes import NATS, Cluster
from talka_protocols.subjects import EXECUTION, Names
from talka_services.cli.records import Records
from talka_services.client.audits import audit
from talka_services.client.verifying import verify_execution
from talka_services.embedded import EmbeddedServer
from talka_services.jetstream.api import call
from talka_services.jetstream.connection import connect
from talka_services.service import Node

STORE = "jetstream"
BLOCKS = f"{STORE}/*/streams/{Names('*').stream('log')}/msgs/*.blk"
LOG_STREAM = re.compile(Names("(.+)").stream("log"))


class Verifier:
    """Verifies every execution of every namespace, over or not, unless that was done since its last event.

    ``checked`` counts the verifications.
    """

    def __init__(self) -> None:
        self.checked = 0
        self._positions: dict[tuple[str, str, str], int] = {}
        self._contents: dict[Path, dict[str, int]] = {}

    async def server(self, url: str, place: str = "") -> list[str]:
        """Return a sentence for each violation on a running server.

        ``place`` names what it serves, where the address is not the same the next time.
        """
        found: list[str] = []
        for namespace in await _namespaces(url):
            async with await Node.open(url, namespace=namespace, name="verifier") as node:
                found += await self._namespace(node, namespace, place or url)
        return found

    async def data_directory(self, path: Path) -> list[str]:
        """Return a sentence for each violation in a data directory, whoever uses it now."""
        contents = _contents(path)
        if not contents or contents == self._contents.get(path):
            return []
        async with EmbeddedServer(path) as server:
            found = await self.server(server.url, str(path))
        self._contents[path] = contents
        return found

    async def store(self, path: Path) -> list[str]:
        """Return a sentence for each violation in what a server that is gone has left."""
        if not _contents(path):
            return []
        with tempfile.TemporaryDirectory() as directory:
            cluster = Cluster(Path(directory), store=path)
            try:
                await cluster.start(NATS)
                return await self.server(cluster.url, str(path))
            finally:
                cluster.discard()

    async def _namespace(self, node: Node, namespace: str, place: str) -> list[str]:
        ports = node.ports
        records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, namespace)
        found: list[str] = []
        for execution_id in await records.histories.names(EXECUTION):
            identity = (place, namespace, execution_id)
            newest = (await ports.log.read(records.histories.name(execution_id)))[-1].position
            if self._positions.get(identity) == newest:
                continue
            self._positions[identity] = newest
            self.checked += 1
            verdict = await verify_execution(records, execution_id)
            found += [f"{namespace}, execution {execution_id}: {sentence}" for sentence in verdict.violations]
        audited = await audit(ports.log, snapshots=ports.snapshots)
        found += [f"{namespace}, {each.where}: {each.kind}: {each.message}" for each in audited.violations]
        return found


def stores_below(root: Path) -> Iterator[Path]:
    """Yield every directory in which a server keeps, or kept, its streams."""
    for path, directories, _files in os.walk(root):
        if STORE in directories:
            directories.remove(STORE)
            yield Path(path)


def is_data_directory(store: Path) -> bool:
    """Tell whether a store is an embedded server's."""
    return (store / "format").is_file()


def _contents(store: Path) -> dict[str, int]:
    """Return the files that hold logs, and how large they are."""
    return {str(path): path.stat().st_size for path in store.glob(BLOCKS)}


async def _namespaces(url: str) -> list[str]:
    connection = await connect(url, "verifier", Names())
    names: list[str] = []
    try:
        while True:
            # Unlike their descriptions, the names are known to the cluster's leader, whatever nodes are dead.
            answer = await call(connection, "STREAM.NAMES", {"offset": len(names)})
            page = answer.streams if isinstance(answer.streams, list) else []
            names += page
            if not page:
                break
    finally:
        await connection.close()
    return sorted(match[1] for name in names if (match := LOG_STREAM.fullmatch(name)))
