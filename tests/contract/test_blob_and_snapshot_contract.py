"""What every `Blobs` and `Snapshots` promise, run over every implementation."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from talka_protocols.errors import BrokenHistoryError
from talka_protocols.ports import Blobs, Snapshot, Snapshots
from talka_protocols.subjects import LogName
from talka_services.jetstream.blobs import JetStreamBlobs
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.snapshots import JetStreamSnapshots
from talka_services.memory import MemoryBlobs, MemorySnapshots

NAME = LogName("execution", "3", "one")


@pytest.fixture(params=["memory", "jetstream"])
def blobs(request: pytest.FixtureRequest, connection: Connection) -> Blobs:
    """Each implementation in turn."""
    return MemoryBlobs() if request.param == "memory" else JetStreamBlobs(connection)


@pytest.fixture(params=["memory", "jetstream"])
def snapshots(request: pytest.FixtureRequest, connection: Connection) -> Snapshots:
    """Each implementation in turn."""
    if request.param == "memory":
        return MemorySnapshots()
    return JetStreamSnapshots(connection)


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_blob_comes_back_whole(blobs: Blobs, size: int) -> None:
    """What was put can be got by its claim check, which names size and digest."""
    data = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    claim = await blobs.put(data)
    assert (claim.bytes, claim.sha256) == (size, sha256(data).hexdigest())
    assert await blobs.get(claim) == data


async def test_blob_is_stored_once(blobs: Blobs) -> None:
    """Putting the same bytes again gives the same claim check."""
    assert await blobs.put(b"same") == await blobs.put(b"same")


async def test_blob_that_is_gone_breaks_the_history(blobs: Blobs) -> None:
    """A claim check of bytes that are not there is refused, and one with another digest too."""
    claim = await blobs.put(b"there")
    with pytest.raises(BrokenHistoryError):
        await blobs.get(msgspec.structs.replace(claim, ref="0" * 64, sha256="0" * 64))
    with pytest.raises(BrokenHistoryError):
        await blobs.get(msgspec.structs.replace(claim, sha256="0" * 64))


async def test_snapshot_that_is_newest_is_kept(snapshots: Snapshots) -> None:
    """Only a snapshot of a later position replaces the one that is there."""
    assert await snapshots.load(NAME) is None
    older, newer = Snapshot(3, 10, b"older"), Snapshot(7, 21, b"newer")
    await snapshots.save(NAME, newer)
    await snapshots.save(NAME, older)
    assert await snapshots.load(NAME) == newer
    newest = Snapshot(9, 30, b"x" * 9_000_000)
    await snapshots.save(NAME, newest)
    assert await snapshots.load(NAME) == newest
