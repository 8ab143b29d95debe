"""What ``talka doctor`` finds on three real servers, and on one whose disk is full."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from talka_chaos.processes import NATS, NODES, Cluster, free_port
from talka_core.checkup import Finding, Level, checkup
from talka_services.jetstream.api import call
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.inspection import inspect
from talka_services.jetstream.monitoring import node_at

PATIENCE_S = 60
MAJORITY = "More than half of the servers must run and reach each other: start those that do not."
ELSE = "If all do: Start nats-server with a jetstream block, and enable JetStream for this account."
ROOM = 2**40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("checkup"),
]


def monitored(cluster: Cluster, name: str) -> str:
    """Let a server that has not been started tell of itself, and return where."""
    port = free_port()
    configuration = cluster.directory / f"{name}.conf"
    configuration.write_text(configuration.read_text() + f'http: "127.0.0.1:{port}"\n')
    return f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def monitors(node_cluster: Cluster) -> AsyncGenerator[dict[str, str]]:
    """Three servers with the streams of a namespace, and where each tells of itself."""
    found = {name: monitored(node_cluster, name) for name in NODES}
    await node_cluster.start(*NODES, "planner")
    yield found
    assert node_cluster.tracebacks() == []


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncGenerator[Connection]:
    """Connect as the doctor does."""
    connection = await connect(cluster.url, "test")
    try:
        yield connection
    finally:
        await connection.close()


async def wrong(connection: Connection, *monitors: str) -> list[Finding]:
    """Return what is not all right."""
    nodes = [await node_at(monitor) for monitor in monitors]
    facts = await inspect(connection, is_synced=True, nodes=nodes, disk_free=None if nodes else ROOM)
    return [finding for finding in checkup(facts) if finding.level is not Level.OK]


async def until(
    connection: Connection, is_so: Callable[[list[Finding]], bool], *monitors: str
) -> list[Finding]:
    """Return what is wrong as soon as it is what is waited for."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so(found := await wrong(connection, *monitors)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found


async def until_well(connection: Connection, *monitors: str) -> None:
    """Return when the doctor finds nothing any more: replicas catch up by themselves."""
    await until(connection, lambda found: not found, *monitors)


async def test_three_servers_that_are_well_are_found_well(
    node_cluster: Cluster, monitors: dict[str, str]
) -> None:
    """Each by its name: its version, its clock, whether it syncs, and its room."""
    async with connected(node_cluster) as connection:
        await until_well(connection, *monitors.values())
        nodes = [await node_at(monitor) for monitor in monitors.values()]
        found = checkup(await inspect(connection, is_synced=None, nodes=nodes))
    for check in ("version", "health", "clock", "sync"):
        assert {each.subject for each in found if each.check == check} >= set(NODES)


async def test_a_stream_with_too_few_replicas_is_found(
    node_cluster: Cluster, monitors: dict[str, str]
) -> None:
    """With the command that mends it."""
    async with connected(node_cluster) as connection:
        await until_well(connection, *monitors.values())
        name = connection.names.stream("snapshot")
        config = (await call(connection, f"STREAM.INFO.{name}")).config
        await call(connection, f"STREAM.UPDATE.{name}", {**config, "num_replicas": 1})
        # Meanwhile a node may find that it lags behind in something else.
        all_found = await until(
            connection, lambda found: name in {each.subject for each in found}, *monitors.values()
        )
        (found,) = [each for each in all_found if each.subject == name]
        assert (found.check, found.level) == ("replication", Level.WARNING)
        assert found.advice == f"nats stream edit {name} --replicas 3"
        await call(connection, f"STREAM.UPDATE.{name}", config)
        await until_well(connection, *monitors.values())


async def test_servers_that_are_away_are_found(node_cluster: Cluster, monitors: dict[str, str]) -> None:
    """Of one, its replicas are; without two nothing is recorded, and the advice is to start them."""
    async with connected(node_cluster) as connection:
        await until_well(connection, *monitors.values())
    node_cluster["n3"].kill()
    async with connected(node_cluster) as connection:
        await until(connection, lambda found: any("on n3" in each.message for each in found))
        node_cluster["n2"].kill()
        found = await until(connection, lambda found: any(each.level is Level.ERROR for each in found))
        # First no stream has a leader any more, and a little later JetStream as a whole has none.
        assert {each.check for each in found} <= {"jetstream", "replication"}
        assert {each.advice for each in found if each.level is Level.ERROR} <= {
            MAJORITY,
            f"{MAJORITY} {ELSE}",
        }
    await node_cluster.start("n2", "n3")
    async with connected(node_cluster) as connection:
        await until_well(connection, *monitors.values())


@pytest.fixture
def store(tmp_path: Path) -> Generator[Path]:
    """A disk of a few megabytes."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this needs to mount a file system, as root")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


async def test_a_disk_that_is_full_is_found(cluster: Cluster, store: Path) -> None:
    """By the server's own words; nothing else looks wrong from here, and nothing is recorded any more."""
    monitor = monitored(cluster, NATS)
    await cluster.start(NATS, "planner")
    filling = store / "filling"
    with pytest.raises(OSError, match="No space left"):
        filling.write_bytes(bytes(7 * 2**20))
    async with connected(cluster) as connection:
        found = await until(connection, lambda found: "health" in {each.check for each in found}, monitor)
    (health,) = [each for each in found if each.check == "health"]
    assert (health.level, "no space left on device" in health.message) == (Level.ERROR, True)
    cluster["planner"].kill()
    filling.unlink()
