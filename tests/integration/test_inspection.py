"""What ``talka doctor`` finds out about real servers; nothing is written, nothing taken for granted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import CONFIGURATION, NatsServer, free_port

from talka_core.checkup import Level, checkup
from talka_protocols.errors import PlatformError
from talka_protocols.subjects import Names
from talka_services.jetstream.api import call
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.inspection import inspect, is_synced_by
from talka_services.jetstream.topology import ensure_topology

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
    facts = await inspect(connection, is_synced=True)
    assert {finding.level for finding in checkup(facts)} == {Level.OK}
    assert facts.skew is not None
    assert abs(facts.skew.ms) <= facts.skew.error_ms + 50
    assert all(stream.present for stream in facts.streams)
    log = await connection.js.stream_info(connection.names.stream("log"))
    assert log.state.messages == 0


async def test_what_was_changed_or_deleted_is_found(connection: Connection) -> None:
    """Each by the name of its stream."""
    names = connection.names
    await connection.js.delete_stream(names.stream("dead"))
    events = (await call(connection, f"STREAM.INFO.{names.stream('events')}")).config
    await call(connection, f"STREAM.UPDATE.{names.stream('events')}", {**events, "max_bytes": -1})
    found = [
        each for each in checkup(await inspect(connection, is_synced=True)) if each.level is not Level.OK
    ]
    assert {(each.subject, each.level) for each in found} == {
        (names.stream("dead"), Level.ERROR),
        (names.stream("events"), Level.WARNING),
    }
    await ensure_topology(connection)


async def test_where_nobody_has_begun_nothing_is_made(nats_server: NatsServer) -> None:
    """The doctor says so, and leaves the server as it was."""
    connection = await connect(nats_server.url, "test", Names("nobody"))
    try:
        found = checkup(await inspect(connection, is_synced=True))
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
    assert await is_synced_by(monitor) is False
    server.stop()
    with pytest.raises(PlatformError, match="--monitor"):
        await is_synced_by(monitor)
    configuration = tmp_path / "nats.conf"
    configuration.write_text(configuration.read_text().replace('"2m"', "always"))
    server.start()
    assert await is_synced_by(monitor) is True
