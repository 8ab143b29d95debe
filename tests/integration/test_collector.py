"""Stored values that nothing names are removed after a day; all others stay."""

from __future__ import annotations

from datetime import timedelta

import pytest

from talka_protocols.errors import BrokenHistoryError
from talka_protocols.ports import Snapshot
from talka_protocols.subjects import LogName
from talka_services.jetstream import blobs as module
from talka_services.jetstream.blobs import JetStreamBlobs
from talka_services.jetstream.collector import age_of, collect
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.log import JetStreamLog
from talka_services.jetstream.post import JetStreamPost
from talka_services.jetstream.snapshots import JetStreamSnapshots

LOG = LogName("probe", "0", "e")
AT_ONCE = timedelta(0)


async def test_only_what_nothing_names_is_collected(connection: Connection) -> None:
    """A commit, a snapshot and a waiting request keep what they name; an orphan goes, once."""
    blobs = JetStreamBlobs(connection)
    result, definition, orphan = [await blobs.put(text) for text in (b"result", b"definition", b"orphan")]
    await JetStreamLog(connection).append(LOG, 0, f'{{"claim":"{result.sha256}"}}'.encode(), "one")
    request = connection.names.requests("planner", "0")
    await JetStreamPost(connection).send([(request, definition.sha256.encode())])
    large = b"x" * (connection.max_bytes + 1)
    await JetStreamSnapshots(connection).save(LOG, Snapshot(1, 1, large))

    assert await collect(connection) == []
    assert await collect(connection, AT_ONCE) == [orphan.ref]
    assert await collect(connection, AT_ONCE) == []
    assert await blobs.get(result) == b"result"
    assert await blobs.get(definition) == b"definition"
    found = await JetStreamSnapshots(connection).load(LOG)
    assert found is not None
    assert found.body == large
    with pytest.raises(BrokenHistoryError):
        await blobs.get(orphan)


async def test_what_a_fork_takes_over_stays(connection: Connection) -> None:
    """What a fork that has not begun takes over stays, although only a value names it."""
    blobs = JetStreamBlobs(connection)
    result = await blobs.put(b"result of what was forked")
    origin = await blobs.put(f'[{{"task_id":"a","claim":"{result.sha256}"}}]'.encode())
    request = connection.names.requests("planner", "0")
    body = f'{{"origin":{{"execution_id":"gone","claim":"{origin.sha256}"}}}}'.encode()
    await JetStreamPost(connection).send([(request, body)])
    assert await collect(connection, AT_ONCE) == []
    assert await blobs.get(result) == b"result of what was forked"


async def test_what_a_large_snapshot_names_stays(connection: Connection) -> None:
    """A base may be all that still names a definition, and may be so large that it is a value itself."""
    blobs = JetStreamBlobs(connection)
    definition = await blobs.put(b"definition")
    body = definition.sha256.encode() + b" " * connection.max_bytes
    await JetStreamSnapshots(connection).save(LOG, Snapshot(1, 1, body))
    assert await collect(connection, AT_ONCE) == []
    assert await blobs.get(definition) == b"definition"


async def test_nothing_stored_is_nothing_to_collect(connection: Connection) -> None:
    """A namespace that has never stored a value is left alone."""
    assert await collect(connection, AT_ONCE) == []


async def test_value_put_again_is_young_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is about to name an old orphan must not lose it to the collector."""
    blobs = JetStreamBlobs(connection)
    claim = await blobs.put(b"again")
    bucket = connection.names.bucket("objects")
    store = await connection.js.object_store(bucket)
    first = (await store.get_info(claim.ref)).nuid
    await blobs.put(b"again")
    assert (await store.get_info(claim.ref)).nuid == first
    monkeypatch.setattr(module, "RENEWED", AT_ONCE)
    await blobs.put(b"again")
    assert (await store.get_info(claim.ref)).nuid != first
    assert await blobs.get(claim) == b"again"


def test_age_without_a_stamp_is_none() -> None:
    """What cannot be dated is never collected."""
    assert age_of(None) == age_of("nonsense") == timedelta(0)
