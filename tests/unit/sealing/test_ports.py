"""The ports that seal: what they are around holds nothing plain, and whoever uses them sees nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import pytest
from tests.unit.sealing.chains import LOG, commit, found, ring, sealing, written

from talka_protocols.errors import BrokenHistoryError, UnknownKeyError
from talka_protocols.ports import Delivery, Snapshot
from talka_protocols.seals import is_sealed, place_of_subject
from talka_protocols.subjects import Names
from talka_services.memory.blobs import MemoryBlobs
from talka_services.memory.log import MemoryLog
from talka_services.memory.snapshots import MemorySnapshots
from talka_services.sealing.ports import (
    SealedBlobs,
    SealedInbox,
    SealedLog,
    SealedPost,
    SealedSnapshots,
    bare,
)
from talka_services.sealing.vault import Vault

NAMES = Names("tenant")


class Box:
    """A post and an inbox in one, which keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Keep them."""
        self.sent += envelopes

    async def receive(self) -> Sequence[Delivery]:
        """Return all that was sent."""
        return [Delivery(body) for _, body in self.sent]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Take notice."""
        assert deliveries

    async def close(self) -> None:
        """Forget what was sent."""
        self.sent.clear()


async def test_a_log_is_sealed_whole_and_its_ids_say_nothing_of_it() -> None:
    """What lies there is sealed, and what is read is what was written; plain commits stay where they are."""
    inner = MemoryLog()
    await written(sealing(Vault(), inner), 1)
    log = sealing(Vault(ring()), inner)
    commits = await written(log, 2, first=3)
    assert [is_sealed(stored.body) for stored in await inner.read(LOG)] == [False, True, True]
    assert commits[1].body.startswith(commit(3)[:-1])
    assert is_sealed(commits[1].sealed)
    assert found(log.vault, commits) == []
    assert len({stored.commit_id.rpartition(":")[2] for stored in commits}) == 3
    assert await _first(log, 3) == [stored.body for stored in commits]
    unsealed: object = bare(log)
    assert unsealed is inner


async def _first(log: SealedLog, count: int) -> list[bytes]:
    bodies: list[bytes] = []
    async with aclosing(log.follow(LOG)) as commits:
        async for stored in commits:
            bodies.append(stored.body)
            if len(bodies) == count:
                break
    return bodies


async def test_a_chain_goes_on_after_a_restart() -> None:
    """Who has only a snapshot of a log looks for the commit that its own is to follow."""
    inner, vault = MemoryLog(), Vault(ring())
    before = await written(sealing(vault, inner), 2)
    body = commit(5)
    await sealing(vault, inner).append(LOG, before[-1].position, body, "execution.one:5:2:abc")
    assert found(vault, await sealing(vault, inner).read(LOG)) == []
    with pytest.raises(BrokenHistoryError, match="is gone"):
        await sealing(vault, inner).append(LOG, 99, body, "execution.one:5:2:abc")


async def test_what_an_import_brings_is_stored_as_it_is() -> None:
    """A commit that is sealed, or signed, is neither again; one that was plain is."""
    vault = Vault(ring())
    stored = (await written(sealing(vault), 1))[0]
    inner = MemoryLog()
    log = sealing(Vault(ring()), inner)
    await log.append(LOG, 0, stored.sealed, stored.commit_id)
    assert (await inner.read(LOG))[0].body == stored.sealed
    with pytest.raises(UnknownKeyError):
        await log.read(LOG)
    signed = sealing(Vault(ring()))
    await signed.append(LOG, 0, stored.body, stored.commit_id)
    assert (await signed.read(LOG))[0].body == stored.body


async def test_values_and_snapshots_are_sealed() -> None:
    """A value's claim check names the sealed bytes; a snapshot of another log does not open."""
    vault = Vault(ring())
    blobs, snapshots = MemoryBlobs(), MemorySnapshots()
    sealed = SealedBlobs(blobs, vault)
    claim = await sealed.put(b"a large value")
    assert claim == await sealed.put(b"a large value")
    assert is_sealed(await blobs.get(claim))
    assert await sealed.get(claim) == b"a large value"
    await SealedSnapshots(snapshots, vault, "default").save(LOG, Snapshot(3, 5, b"{}"))
    kept = await snapshots.load(LOG)
    assert kept is not None
    assert is_sealed(kept.body)
    loaded = await SealedSnapshots(snapshots, vault, "default").load(LOG)
    assert loaded == Snapshot(3, 5, b"{}")


async def test_mail_is_sealed_for_its_address_and_what_is_live_is_not() -> None:
    """The same address has two streams and one place; a body that was changed is handed on as it is."""
    vault, box = Vault(ring()), Box()
    post = SealedPost(box, vault, NAMES)
    subject = NAMES.requests("planner", "0")
    await post.send([(subject, b"request"), (NAMES.answers("me"), b"answer")])
    assert [is_sealed(body) for _, body in box.sent] == [True, False]
    del box.sent[1]
    assert place_of_subject(NAMES, subject) == place_of_subject(NAMES, NAMES.inbox("planner", "0"))
    inbox = SealedInbox(box, vault, place_of_subject(NAMES, subject))
    assert [delivery.body for delivery in await inbox.receive()] == [b"request"]
    box.sent[0] = (subject, box.sent[0][1][:-1] + b"?")
    assert is_sealed((await inbox.receive())[0].body)
    with pytest.raises(UnknownKeyError):
        await SealedInbox(box, Vault(), place_of_subject(NAMES, subject)).receive()


def test_places_tell_namespaces_apart_except_for_what_moves() -> None:
    """An execution's log is exported and imported; whatever else there is stays in its namespace."""
    other = Names("other")
    for subject in ("log.execution.0.abc", "snapshot.plan.1.abc"):
        assert place_of_subject(NAMES, f"talka.tenant.{subject}") == place_of_subject(
            other, f"talka.other.{subject}"
        )
    for subject in ("log.pool.-.default", "inbox.worker.w", "tasklog.abc"):
        assert place_of_subject(NAMES, f"talka.tenant.{subject}") != place_of_subject(
            other, f"talka.other.{subject}"
        )
