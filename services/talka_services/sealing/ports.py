"""The ports around those that store: everything goes in sealed and signed, and comes out plain.

What is sealed or signed already, as what an import brings, is stored as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import TypeVar

from msgspec.structs import replace

from talka_protocols.errors import BrokenHistoryError, UnknownKeyError
from talka_protocols.ports import (
    Alarms,
    Blobs,
    Delivery,
    Heap,
    Inbox,
    Log,
    Post,
    Snapshot,
    Snapshots,
    StoredCommit,
)
from talka_protocols.seals import (
    OBJECTS,
    MalformedSignatureError,
    digest_of,
    is_sealed,
    place_of_log,
    place_of_subject,
    read_signature,
)
from talka_protocols.subjects import LogName, Names
from talka_protocols.workflow import ClaimCheck
from talka_services.sealing.vault import Vault

HEADS_KEPT = 20_000

P = TypeVar("P")


def bare(port: P) -> P:
    """Return the port that holds what is stored as it is stored: what a sealing one is around."""
    inner: P = getattr(port, "inner", port)
    return inner


class SealedLog:
    """The ``Log`` port around another one: commits are chained and signed, then sealed."""

    def __init__(self, inner: Log, vault: Vault, namespace: str) -> None:
        self.inner = inner
        self.vault = vault
        self.namespace = namespace
        self._heads: dict[LogName, tuple[int, str]] = {}

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append one commit; see `talka_protocols.ports.Log`."""
        if not (self.vault.signs or self.vault.encrypts) or is_sealed(body):
            return await self.inner.append(log, after, body, commit_id)
        place = place_of_log(self.namespace, log)
        if self.vault.signs and not _is_signed(body):
            body = self.vault.sign(place, body, await self._head(log, after))
        stored = self.vault.seal(f"log/{place}", body)
        position = await self.inner.append(log, after, stored, self.vault.identity(commit_id))
        self._remember(log, position, body)
        return position

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind a position; see `talka_protocols.ports.Log`."""
        commits = [self.opened(commit) for commit in await self.inner.read(log, after)]
        if commits and self.vault.signs:
            self._remember(log, commits[-1].position, commits[-1].body)
        return commits

    async def names(self, kind: str, shard: str | None = None) -> Sequence[LogName]:
        """Return the names of the logs of one kind."""
        return await self.inner.names(kind, shard)

    async def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield the commits behind a position, and go on; see `talka_protocols.ports.Log`."""
        async with aclosing(self.inner.follow(log, after)) as commits:
            async for commit in commits:
                yield self.opened(commit)

    async def read_all(self, kinds: Collection[str]) -> AsyncGenerator[Heap]:
        """Yield the commits of all logs of these kinds; see `talka_protocols.ports.Log`.

        Where there are keys at all, one that is sealed with another key stays sealed, as a damaged one does.
        """
        async with aclosing(self.inner.read_all(kinds)) as heaps:
            async for heap in heaps:
                yield replace(heap, commits=tuple(map(self.opened_if_possible, heap.commits)))

    def opened_if_possible(self, commit: StoredCommit) -> StoredCommit:
        """Return a commit opened, or as it is if it is sealed with a key that is not among those here.

        Raises:
            UnknownKeyError: there are no keys here at all.
        """
        try:
            return self.opened(commit)
        except UnknownKeyError:
            if not self.vault.has_keys:
                raise
            return commit

    def opened(self, commit: StoredCommit) -> StoredCommit:
        """Return a commit as it was before it was sealed.

        Raises:
            UnknownKeyError: its key is not here.
        """
        if not is_sealed(commit.body):
            return commit
        place = f"log/{place_of_log(self.namespace, commit.log)}"
        return replace(commit, body=self.vault.open_if_whole(place, commit.body), sealed=commit.body)

    async def _head(self, log: LogName, after: int) -> str:
        """Return the digest of the commit that the next one is to follow."""
        position, digest = self._heads.get(log, (0, ""))
        if after == 0:
            return ""
        if position == after:
            return digest
        # Where its newest snapshot holds all of a log, nobody has read the commit itself.
        found = await self.inner.read(log, after - 1)
        if not found or found[0].position != after:
            raise BrokenHistoryError(
                f"The commit of {log} at {after}, which the next one is to follow, is gone.",
                hint="`talka audit --signatures` says what else is wrong; restore the stream from a backup.",
            )
        return digest_of(self.opened(found[0]).body)

    def _remember(self, log: LogName, position: int, body: bytes) -> None:
        self._heads.pop(log, None)
        self._heads[log] = (position, digest_of(body))
        if len(self._heads) > HEADS_KEPT:
            del self._heads[next(iter(self._heads))]


def _is_signed(body: bytes) -> bool:
    try:
        return read_signature(body) is not None
    except MalformedSignatureError:
        return True


class SealedSnapshots:
    """The ``Snapshots`` port around another one."""

    def __init__(self, inner: Snapshots, vault: Vault, namespace: str) -> None:
        self.inner = inner
        self._vault = vault
        self._namespace = namespace

    async def save(self, log: LogName, snapshot: Snapshot) -> None:
        """Keep the snapshot, sealed, unless a newer one is already there."""
        await self.inner.save(log, replace(snapshot, body=self._vault.seal(self._place(log), snapshot.body)))

    async def load(self, log: LogName) -> Snapshot | None:
        """Return the newest snapshot, or None.

        Raises:
            UnknownKeyError: its key is not here.
            DamagedError: it was changed; the log has all that it held.
        """
        snapshot = await self.inner.load(log)
        if snapshot is None or not is_sealed(snapshot.body):
            return snapshot
        return replace(snapshot, body=self._vault.open(self._place(log), snapshot.body))

    def _place(self, log: LogName) -> str:
        return f"snapshot/{place_of_log(self._namespace, log)}"


class SealedBlobs:
    """The ``Blobs`` port around another one; a claim check names what is stored, so the sealed bytes."""

    def __init__(self, inner: Blobs, vault: Vault) -> None:
        self.inner = inner
        self._vault = vault

    async def put(self, data: bytes) -> ClaimCheck:
        """Store the bytes, sealed, once however often they are put under one key."""
        return await self.inner.put(self._vault.seal(OBJECTS, data, is_repeatable=True))

    async def get(self, claim: ClaimCheck) -> bytes:
        """Return the bytes; see `talka_protocols.ports.Blobs`.

        Raises:
            UnknownKeyError: their key is not here.
            BrokenHistoryError: they are gone, or were changed.
        """
        return self._vault.open(OBJECTS, await self.inner.get(claim))


class SealedPost:
    """The ``Post`` port around another one; what is live is stored nowhere and goes as it is."""

    def __init__(self, inner: Post, vault: Vault, names: Names) -> None:
        self.inner = inner
        self._vault = vault
        self._names = names

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Publish each envelope, sealed; see `talka_protocols.ports.Post`."""
        if self._vault.encrypts:
            envelopes = [(subject, self._sealed(subject, body)) for subject, body in envelopes]
        await self.inner.send(envelopes)

    def _sealed(self, subject: str, body: bytes) -> bytes:
        if self._names.is_live(subject):
            return body
        return self._vault.seal(place_of_subject(self._names, subject), body)


class SealedInbox:
    """The ``Inbox`` port of one address around another one."""

    def __init__(self, inner: Inbox, vault: Vault, place: str) -> None:
        self.inner = inner
        self._vault = vault
        self._place = place

    async def receive(self) -> Sequence[Delivery]:
        """Wait for deliveries, and return them opened; a damaged one stays as it is, and is set aside.

        Raises:
            UnknownKeyError: the key of one is not here; all of them stay for the next owner.
        """
        deliveries = await self.inner.receive()
        return [self._opened(delivery) for delivery in deliveries]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these deliveries, and with them every earlier one."""
        await self.inner.acknowledge(deliveries)

    async def close(self) -> None:
        """Stop receiving."""
        await self.inner.close()

    def _opened(self, delivery: Delivery) -> Delivery:
        if not is_sealed(delivery.body):
            return delivery
        return replace(delivery, body=self._vault.open_if_whole(self._place, delivery.body))


class SealedAlarms:
    """The ``Alarms`` port around another one."""

    def __init__(self, inner: Alarms, vault: Vault, names: Names) -> None:
        self.inner = inner
        self._vault = vault
        self._names = names

    async def set(self, kind: str, address: str, key: str, due_at: int, body: bytes) -> None:
        """Have an envelope, sealed for the inbox that it rings in, put into it later."""
        place = place_of_subject(self._names, self._names.requests(kind, address))
        await self.inner.set(kind, address, key, due_at, self._vault.seal(place, body))

    async def clear(self, kind: str, key: str) -> None:
        """Let the key's alarm not ring."""
        await self.inner.clear(kind, key)


__all__ = [
    "SealedAlarms",
    "SealedBlobs",
    "SealedInbox",
    "SealedLog",
    "SealedPost",
    "SealedSnapshots",
    "bare",
]
