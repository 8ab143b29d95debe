"""Reaching a platform: by its address, or through the data directory that an embedded server keeps."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from talka_protocols.errors import DataDirectoryError
from talka_services.cli.command import Target
from talka_services.cli.logs import configure_logs

if TYPE_CHECKING:
    from talka_services.client import Orchestrator
    from talka_services.embedded import Durability
    from talka_services.jetstream.connection import Connection
    from talka_services.service import Node


@asynccontextmanager
async def reach(target: Target, *, create: bool = False) -> AsyncGenerator[Orchestrator]:
    """Connect as a client; on a data directory that nobody uses, the server runs for just as long.

    No service is started, so looking at a directory continues nothing in it.

    Raises:
        ServerUnavailableError: no server answers at the address.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    from talka_services.cli.presence import who_is_present
    from talka_services.client import Orchestrator

    async with reach_node(target, create=create) as node:
        # What `talka up` can never do is refused before anything is stored, as it does itself.
        present = None if target.server else who_is_present(target.data_dir, target.namespace)
        ceiling = present.ceiling if present else None
        agent_types = frozenset(present.agent_types) if present else None
        async with Orchestrator(node, ceiling=ceiling, agent_types=agent_types) as orchestrator:
            yield orchestrator


@asynccontextmanager
async def reach_node(target: Target, *, create: bool = False) -> AsyncGenerator[Node]:
    """Connect this process to the platform; with ``create``, also to a directory that is yet to be made.

    Raises:
        ServerUnavailableError: no server answers at the address.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    from talka_services.client.local import EMBEDDED_SHARDS
    from talka_services.embedded import EmbeddedServer
    from talka_services.service import Node

    if target.server:
        servers = target.server.split(",")
        opened = await Node.open(servers, namespace=target.namespace, access=target.access)
        async with opened as node:
            yield node
        return
    if not create:
        require_directory(target.data_dir)
    async with EmbeddedServer(target.data_dir, running_durability(target.data_dir) or "power") as server:
        opened = await Node.open(server.url, namespace=target.namespace, default_shards=EMBEDDED_SHARDS)
        async with opened as node:
            yield node


@asynccontextmanager
async def reach_server(target: Target, *, create: bool = False) -> AsyncGenerator[Connection]:
    """Connect this process to the server alone: nothing of a namespace is made there.

    Raises:
        ServerUnavailableError: no server answers at the address.
        DataDirectoryError: there is no such directory, or it cannot be used.
    """
    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    from talka_protocols.subjects import Names
    from talka_services.embedded import EmbeddedServer
    from talka_services.jetstream.connection import connect

    async with AsyncExitStack() as stack:
        servers = target.server.split(",") if target.server else []
        access = target.access if servers else None
        if not servers:
            if not create:
                require_directory(target.data_dir)
            embedded = EmbeddedServer(target.data_dir, running_durability(target.data_dir) or "power")
            servers = [(await stack.enter_async_context(embedded)).url]
        connection = await connect(servers, "talka", Names(target.namespace), access)
        stack.push_async_callback(connection.close)
        yield connection


def require_directory(data_dir: Path) -> None:
    """Refuse to look into a data directory that does not exist, instead of making it.

    Raises:
        DataDirectoryError: there is none.
    """
    if not (data_dir / "format").is_file():
        raise DataDirectoryError(
            f"There is no Talka data directory at {data_dir}.",
            hint="`talka run` makes one; name another with --data-dir, or a running platform with --server.",
        )


def running_durability(data_dir: Path) -> Durability | None:
    """Return the durability of the server that runs on a directory, or None if none runs."""
    from talka_services.embedded.directory import DataDirectory

    directory = DataDirectory(data_dir)
    facts = directory.server() if directory.path.is_dir() else None
    return facts.durability if facts else None
