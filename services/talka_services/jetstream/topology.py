"""The streams and buckets of a namespace: made where missing, checked where present.

``inbox`` lives in memory and dies with its server. Its sequences begin at the
time it was made, so that those of a later one are always larger: an old
position can then never hide or purge a new message.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from nats.aio.client import Client

from talka_core.checkup import BOUNDS, KEPT, OLDEST_SERVER
from talka_protocols.errors import CallerError, ServerUnavailableError
from talka_services.jetstream.api import (
    JETSTREAM_OFF,
    NO_ROOM,
    NOT_FOUND,
    SECOND_NS,
    STREAM_NAME_IN_USE,
    RefusedError,
    call,
    pause,
    refused,
)
from talka_services.jetstream.connection import Connection
from talka_services.telemetry import get_logger

DUPLICATE_WINDOW_S = 120
INBOX_AGE_S = 3600
# The server reserves this much memory for the stream.
INBOX_BYTES = 128 * 1024 * 1024
# Dead letters are for people to look at: nobody does after a month, or in 512 MiB of them.
# The server sets bounds in bytes aside at once; all of them fit into a store of one gigabyte.
DEAD_AGE_S = 30 * 24 * 3600
DEAD_BYTES = 512 * 1024 * 1024
# Outside events are taken up within moments; what lies there longer helps to find out what was published.
EVENTS_AGE_S = 7 * 24 * 3600
EVENTS_BYTES = 256 * 1024 * 1024
# What tasks print is for people too, and for about as long as they remember the run.
TASKLOG_AGE_S = 7 * 24 * 3600
TASKLOG_BYTES = 192 * 1024 * 1024
LEASE_MARKER_S = 1
CREATED_S = 10.0
READY_S = 3.0
CAUGHT_UP_S = 20.0
SNAPSHOTS_KEPT = 2
CLUSTER_REPLICAS = 3
"""What is stored on three nodes outlives any one of them."""
FEATURES = ("allow_msg_schedules", "allow_rollup_hdrs")

StreamConfig = dict[str, Any]

log = get_logger(__name__)


def streams(connection: Connection, replicas: int = 1) -> list[StreamConfig]:
    """Return the configuration of every stream of the namespace, buckets included."""
    names = connection.names
    file = {"storage": "file", "num_replicas": replicas}

    def stream(what: str, **more: Any) -> StreamConfig:
        return {"name": names.stream(what), "subjects": [f"{names.root}.{what}.>"], **file, **more}

    def bucket(what: str, **more: Any) -> StreamConfig:
        return {
            "name": names.kv_stream(what),
            "subjects": [f"$KV.{names.bucket(what)}.>"],
            "max_msgs_per_subject": 1,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
            **file,
            **more,
        }

    return [
        stream("log", duplicate_window=DUPLICATE_WINDOW_S * SECOND_NS),
        stream("snapshot", max_msgs_per_subject=SNAPSHOTS_KEPT),
        inbox_stream(connection, replicas),
        stream("request", allow_msg_schedules=True, allow_rollup_hdrs=True),
        events_stream(connection, replicas),
        stream("dead", discard="old", max_age=DEAD_AGE_S * SECOND_NS, max_bytes=DEAD_BYTES),
        stream("tasklog", discard="old", max_age=TASKLOG_AGE_S * SECOND_NS, max_bytes=TASKLOG_BYTES),
        bucket("leases", allow_msg_ttl=True, subject_delete_marker_ttl=LEASE_MARKER_S * SECOND_NS),
        bucket("settings"),
        # Workers write here, and whoever may roll one subject up may roll up, and lose, the whole stream.
        {
            "name": names.objects_stream(),
            "subjects": [names.object_chunks(">"), names.object_meta(">")],
            "discard": "new",
            "allow_direct": True,
            **file,
        },
    ]


def inbox_stream(connection: Connection, replicas: int = 1) -> StreamConfig:
    """Return the configuration of the stream between actors, which dies with its server."""
    return {
        "name": connection.names.stream("inbox"),
        "subjects": [f"{connection.names.root}.inbox.>"],
        "storage": "memory",
        "discard": "old",
        "first_seq": time.time_ns() // 1000,
        "max_age": INBOX_AGE_S * SECOND_NS,
        "max_bytes": INBOX_BYTES,
        "num_replicas": replicas,
    }


def events_stream(connection: Connection, replicas: int = 1) -> StreamConfig:
    """Return the configuration of the stream that anybody publishes events to.

    Its sequences begin at the time it was made, as those of the inboxes do: triggers remember them.
    """
    return {
        "name": connection.names.stream("events"),
        "subjects": [f"{connection.names.root}.events.>"],
        "storage": "file",
        "discard": "old",
        "first_seq": time.time_ns() // 1000,
        "max_age": EVENTS_AGE_S * SECOND_NS,
        "max_bytes": EVENTS_BYTES,
        "duplicate_window": DUPLICATE_WINDOW_S * SECOND_NS,
        "num_replicas": replicas,
    }


async def ensure_topology(connection: Connection) -> None:
    """Make every stream and bucket of the namespace that does not exist yet; in a cluster on three nodes.

    Raises:
        ServerUnavailableError: the server is older than 2.12 or runs without JetStream.
        CallerError: a stream of that name exists and is something else.
    """
    _check_version(connection)
    await _check_jetstream(connection)
    replicas = CLUSTER_REPLICAS if connection.is_clustered else 1
    wanted = streams(connection, replicas)
    bounded = [config for config in wanted if config["storage"] == "file" and "max_bytes" in config]
    await asyncio.gather(*(ensure_stream(connection, config) for config in wanted if config not in bounded))
    for config in bounded:
        # One after the other: at once they could all pass the server's check of its room, and fill it.
        await ensure_stream(connection, config)

    async def renew() -> None:
        await ensure_stream(connection, inbox_stream(connection, replicas))

    connection.renew_inbox_stream = renew


async def ensure_stream(connection: Connection, config: StreamConfig) -> None:
    """Make one stream unless it exists; who may make none can still use those that there are."""
    name = str(config["name"])
    try:
        present = (await call(connection, f"STREAM.INFO.{name}")).config
    except RefusedError as error:
        if error.failure.code != NOT_FOUND:
            raise refused(f"looking at the stream {name}", error) from error
        await _create(connection, name, config)
    else:
        await _settle(connection, name, config, present)


async def _create(connection: Connection, name: str, config: StreamConfig) -> None:
    try:
        await call(connection, f"STREAM.CREATE.{name}", config)
    except RefusedError as error:
        if error.failure.err_code in NO_ROOM and config["storage"] == "file" and "max_bytes" in config:
            # The server sets the bytes aside at once; it has too little, or an account that may not.
            log.warning("stream.not_bounded", stream=name, max_bytes=config["max_bytes"], error=str(error))
            await _create(connection, name, {key: config[key] for key in config if key != "max_bytes"})
            return
        if error.failure.err_code != STREAM_NAME_IN_USE:
            raise refused(f"making the stream {name}", error) from error
        # Somebody else has just made it.
        await _settle(connection, name, config, await _present(connection, name))


async def _settle(connection: Connection, name: str, config: StreamConfig, present: StreamConfig) -> None:
    """Check a stream that exists, and give it what it had not in an older version."""
    _check_stream(connection, name, config, present)
    await _enable(connection, config, present)
    await _limit_stream(connection, config, present)


async def _limit_stream(connection: Connection, wanted: StreamConfig, present: StreamConfig) -> None:
    """Bound a stream of an older version that has no bounds; those that somebody gave it stay."""
    missing = {key: wanted[key] for key in BOUNDS if key in wanted and present.get(key, 0) <= 0}
    if not missing:
        return
    try:
        await call(connection, f"STREAM.UPDATE.{wanted['name']}", {**present, **missing})
    except RefusedError as error:
        log.warning("stream.not_bounded", stream=wanted["name"], **missing, error=str(error))
        if error.failure.err_code in NO_ROOM and len(missing) > 1:
            # Age alone takes no room.
            await _limit_stream(
                connection, {key: wanted[key] for key in wanted if key != "max_bytes"}, present
            )


async def _enable(connection: Connection, wanted: StreamConfig, present: StreamConfig) -> None:
    """Let a stream of an older version do what is needed of it now."""
    missing = {key: True for key in FEATURES if wanted.get(key) and not present.get(key)}
    if missing:
        present |= missing
        try:
            await call(connection, f"STREAM.UPDATE.{wanted['name']}", present)
        except RefusedError as error:
            raise refused(f"changing the stream {wanted['name']}", error) from error


async def _present(connection: Connection, name: str) -> StreamConfig:
    """Return how a stream that exists is configured."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + CREATED_S
    while True:
        try:
            return (await call(connection, f"STREAM.INFO.{name}")).config
        except RefusedError as error:
            # In a cluster the name is taken a moment before the stream can be asked about.
            if error.failure.code != NOT_FOUND or clock() > deadline:
                raise refused(f"looking at the stream {name}", error) from error
        await pause(connection, CREATED_S)


def _check_stream(connection: Connection, name: str, wanted: StreamConfig, present: StreamConfig) -> None:
    """Refuse a stream that is not ours."""
    for key in KEPT:
        if key in wanted and present.get(key) != wanted[key]:
            raise CallerError(
                f"Stream {name} at {connection.address} has {key} {present.get(key)!r}, not {wanted[key]!r}.",
                hint="It belongs to something else or another version: use another namespace.",
            )


def _check_version(connection: Connection) -> None:
    version = server_version(connection.nc)
    if version < OLDEST_SERVER:
        shown = ".".join(str(part) for part in version)
        raise ServerUnavailableError(
            f"The NATS server at {connection.address} is version {shown}; Talka needs 2.12 or later.",
            hint="Upgrade it, or leave --server out to use the embedded one.",
        )


def server_version(client: Client) -> tuple[int, int]:
    """Return the major and minor version of the server that we are connected to."""
    version = client.connected_server_version
    return version.major, version.minor


async def _check_jetstream(connection: Connection) -> None:
    # A node that has just joined a cluster again answers when it has caught up.
    wait_s = CAUGHT_UP_S if connection.is_clustered else READY_S
    try:
        await call(connection, "INFO", wait_s=wait_s)
    except (RefusedError, ServerUnavailableError) as error:
        if isinstance(error, RefusedError) and error.failure.err_code not in JETSTREAM_OFF:
            raise refused("access to JetStream", error) from error
        raise ServerUnavailableError(
            f"The NATS server at {connection.address} answers, but not its JetStream: {error}.",
            hint="Start nats-server with -js and enable JetStream for this account.",
        ) from error
