"""What ``talka doctor`` finds out about real servers; nothing is written, nothing taken for granted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import CONFIGURATION, NatsServer, free_port

from talka_core.checkup import Finding, Level, ServerFacts, checkup
from talka_protocols.errors import PlatformError
from talka_protocols.subjects import Names
from talka_services.jetstream.api import call
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.inspection import inspect
from talka_services.jetstream.monitoring import node_at
from talka_services.jetstream.topology import ensure_topology

ROOM = 2**40
RESTRICTED = """
authorization {{
  users: [
    {{user: all, password: all}}
    {{user: few, password: few, permissions: {{publish: {{deny: ["talka.*.log.>", "$KV.>"]}}}}}}
  ]
}}
http: "127.0.0.1:{port}"
"""


@pytest.fixture
def restricted(tmp_path: Path) -> Iterator[tuple[NatsServer, str]]:
    """A server with a user that may not write everything, and the address at which it tells about itself."""
    port = free_port()
    server = NatsServer(tmp_path, CONFIGURATION + RESTRICTED.replace("{port}", str(port)))
    server.start()
    yield server, f"http://127.0.0.1:{port}"
    server.stop()


async def test_a_namespace_that_is_well_is_found_well(connection: Connection) -> None:
    """Its clock is ours, every stream is as it was made, and no message is left behind."""
    facts = await inspect(connection, is_synced=True, disk_free=ROOM)
    assert {finding.level for finding in checkup(facts)} == {Level.OK}
    (skew,) = facts.skews.values()
    assert abs(skew.ms) <= skew.error_ms + 50
    assert all(stream.present for stream in facts.streams)
    log = await connection.js.stream_info(connection.names.stream("log"))
    assert log.state.messages == 0


async def test_what_was_changed_or_deleted_is_found(connection: Connection) -> None:
    """Each by the name of its stream."""
    names = connection.names
    await connection.js.delete_stream(names.stream("dead"))
    events = (await call(connection, f"STREAM.INFO.{names.stream('events')}")).config
    await call(connection, f"STREAM.UPDATE.{names.stream('events')}", {**events, "max_bytes": -1})
    found = _wrong(await inspect(connection, is_synced=True, disk_free=ROOM))
    assert {(each.subject, each.level) for each in found} == {
        (names.stream("dead"), Level.ERROR),
        (names.stream("events"), Level.WARNING),
    }
    await ensure_topology(connection)


async def test_where_nobody_has_begun_nothing_is_made(nats_server: NatsServer) -> None:
    """The doctor says so, and leaves the server as it was."""
    connection = await connect(nats_server.url, "test", Names("nobody"))
    try:
        found = checkup(await inspect(connection, is_synced=True, disk_free=ROOM))
        assert [each.message for each in found if each.level is not Level.OK] == [
            "No platform has begun here."
        ]
        assert not [name for name in await _streams(connection) if "nobody" in name]
    finally:
        await connection.close()


async def _streams(connection: Connection) -> list[str]:
    return [str(info.config.name) for info in await connection.js.streams_info()]


@pytest.mark.slow
async def test_what_may_not_be_written_is_named(restricted: tuple[NatsServer, str]) -> None:
    """The subjects that the user's permissions deny, and no others."""
    server, _ = restricted
    for user in ("all", "few"):
        connection = await connect(server.url.replace("//", f"//{user}:{user}@"), "test")
        try:
            if user == "all":
                await ensure_topology(connection)
            facts = await inspect(connection, is_synced=True)
        finally:
            await connection.close()
        refused = [each.subject for each in checkup(facts) if each.check == "permissions" and each.advice]
        denied = ["talka.default.log.execution.0.doctor", "$KV.talka_default_leases.lease.doctor"]
        assert refused == ([] if user == "all" else denied)


@pytest.mark.slow
async def test_the_monitoring_port_knows_whether_the_server_syncs(
    restricted: tuple[NatsServer, str], tmp_path: Path
) -> None:
    """Before and after the setting is changed; where nobody answers, the error says what to give."""
    server, monitor = restricted
    before = await node_at(monitor)
    assert (before.is_synced, before.fault) == (False, "")
    assert abs(before.skew.ms) <= before.skew.error_ms + 50
    assert before.memory.limit == 8 * 2**30
    server.stop()
    with pytest.raises(PlatformError, match="--monitor"):
        await node_at(monitor)
    configuration = tmp_path / "nats.conf"
    configuration.write_text(configuration.read_text().replace('"2m"', "always"))
    server.start()
    assert (await node_at(monitor)).is_synced is True


async def test_a_clock_that_is_wrong_is_found(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is forty seconds ahead here."""
    clock = time.time
    monkeypatch.setattr("talka_services.jetstream.inspection.time.time", lambda: clock() + 40)
    (found,) = _wrong(await inspect(connection, is_synced=True, disk_free=ROOM))
    assert (found.check, found.level) == ("clock", Level.ERROR)
    assert "ms behind this machine's" in found.message


@pytest.mark.slow
async def test_an_account_that_is_nearly_full_is_found(tmp_path: Path) -> None:
    """By how much it holds of what it may."""
    full = (
        CONFIGURATION
        + "accounts {{ A: {{ users: [{{user: a, password: a}}], jetstream: {{max_file: {size}}} }} }}"
    )
    server = NatsServer(tmp_path, full.replace("{size}", "2MB"))
    server.start()
    connection = await connect(server.url.replace("//", "//a:a@"), "test")
    try:
        await ensure_topology(connection)
        for _ in range(19):
            await connection.js.publish("talka.default.log.execution.0.e", b"x" * 100_000)
        found = _wrong(await inspect(connection, is_synced=True, disk_free=ROOM))
    finally:
        await connection.close()
        server.stop()
    (storage,) = [each for each in found if each.check == "storage"]
    assert (storage.subject, storage.level) == ("file", Level.WARNING)
    assert "max_file_store" in storage.advice


async def test_a_server_of_an_older_version_is_found(nats_server: NatsServer) -> None:
    """It answers, and is said to be too old; only what it says of its version is not true here."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", nats_server.port)
        said = re.sub(rb'"version":"\d+\.\d+', b'"version":"2.11', await there.readline())
        writer.write(said)
        await asyncio.gather(_pass(reader, onward), _pass(there, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as older:
        port = older.sockets[0].getsockname()[1]
        connection = await connect(f"nats://127.0.0.1:{port}", "test", Names("older"))
        try:
            found = _wrong(await inspect(connection, is_synced=True, disk_free=ROOM))
        finally:
            await connection.close()
    assert [(each.check, each.level) for each in found] == [
        ("version", Level.ERROR),
        ("streams", Level.WARNING),
    ]
    assert "2.11; Talka needs 2.12" in found[0].message


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(2**16):
        writer.write(piece)
    writer.close()


def _wrong(facts: ServerFacts) -> list[Finding]:
    return [each for each in checkup(facts) if each.level is not Level.OK]
