"""Dead letters and what tasks print are bounded, and no bound keeps a namespace from being opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

from talka_protocols.subjects import Names
from talka_services.jetstream.api import SECOND_NS, call
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.topology import (
    DEAD_AGE_S,
    DEAD_BYTES,
    TASKLOG_AGE_S,
    TASKLOG_BYTES,
    ensure_topology,
)


class Startable(Protocol):
    """The fixture's server."""

    url: str

    def start(self) -> None:
        """Start it again."""
        ...

    def kill(self) -> None:
        """Kill it."""
        ...


async def dead_stream(connection: Connection) -> dict[str, Any]:
    """Return the configuration of the stream of dead letters."""
    return (await call(connection, f"STREAM.INFO.{connection.names.stream('dead')}")).config


async def test_dead_letters_are_kept_for_a_month_and_half_a_gigabyte(connection: Connection) -> None:
    """The stream of dead letters drops the oldest beyond its limits."""
    config = await dead_stream(connection)
    assert config["max_age"] == DEAD_AGE_S * SECOND_NS
    assert config["max_bytes"] == DEAD_BYTES
    assert config["discard"] == "old"


async def test_what_tasks_print_is_kept_for_a_week(connection: Connection) -> None:
    """The stream of task logs drops the oldest beyond its limits, which the server itself keeps."""
    config = (await call(connection, f"STREAM.INFO.{connection.names.stream('tasklog')}")).config
    assert config["max_age"] == TASKLOG_AGE_S * SECOND_NS == 7 * 24 * 3600 * SECOND_NS
    assert config["max_bytes"] == TASKLOG_BYTES
    assert config["discard"] == "old"


@pytest.mark.parametrize("own", [{}, {"max_age": 60 * SECOND_NS}])
async def test_streams_of_an_older_version_get_the_limits_they_lack(
    connection: Connection, own: dict[str, int]
) -> None:
    """An unbounded stream is bounded when the namespace is opened; a limit of its own stays."""
    name = connection.names.stream("dead")
    await connection.js.delete_stream(name)
    old = {
        "name": name,
        "subjects": [f"{connection.names.root}.dead.>"],
        "storage": "file",
        "num_replicas": 1,
    }
    await call(connection, f"STREAM.CREATE.{name}", {**old, **own})
    await ensure_topology(connection)
    config = await dead_stream(connection)
    assert config["max_age"] == own.get("max_age", DEAD_AGE_S * SECOND_NS)
    assert config["max_bytes"] == DEAD_BYTES


@pytest.mark.parametrize("is_old", [True, False])
async def test_a_server_without_room_for_the_limit_is_used_all_the_same(
    own_server: Startable, tmp_path: Path, names: Names, is_old: bool
) -> None:
    """Where the server cannot set so many bytes aside, age alone bounds the dead letters, or nothing."""
    own_server.kill()
    configuration = tmp_path / "nats.conf"
    text = configuration.read_text()
    configuration.write_text(text.replace("max_memory_store", "max_file_store: 500MB, max_memory_store"))
    own_server.start()
    connection = await connect(own_server.url, "test", names)
    try:
        name = names.stream("dead")
        if is_old:
            subjects = [f"{names.root}.dead.>"]
            await call(connection, f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects})
        await ensure_topology(connection)
        config = await dead_stream(connection)
        assert config["max_bytes"] == -1
        assert config["max_age"] == DEAD_AGE_S * SECOND_NS
    finally:
        await connection.close()
