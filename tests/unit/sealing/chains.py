"""Logs for tests of sealing and signing: in memory, written through the ports that seal and sign."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from talka_core.auditing import Anchors, Chains, Violation
from talka_protocols.commit import Commit, Decision, commit_id, encode_commit
from talka_protocols.events import ExecutionStarted
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.memory.log import MemoryLog
from talka_services.sealing.keyring import Keyring, new_key
from talka_services.sealing.ports import SealedLog
from talka_services.sealing.vault import Vault

LOG = LogName(EXECUTION, "0", "one")
OTHER = LogName(EXECUTION, "0", "other")


def ring(*, encrypts: bool = True, signs: bool = True) -> Keyring:
    """Return a ring of one new key."""
    key = new_key()
    return Keyring(key.id, (key,), encrypts, signs)


def commit(version: int, events: int = 2) -> bytes:
    """Return the bytes of a commit, unsigned."""
    facts = (ExecutionStarted(),) * events
    return encode_commit(Commit(version, 1_000 + version, 1, (Decision(f"cause {version}", facts),)))


async def written(log: SealedLog, count: int, name: LogName = LOG, first: int = 1) -> list[StoredCommit]:
    """Append commits to a log, and return all that it holds, opened."""
    held = await log.read(name)
    position = held[-1].position if held else 0
    for version in range(first, first + 2 * count, 2):
        body = commit(version)
        position = await log.append(name, position, body, commit_id(name, version, 1, body))
    return list(await log.read(name))


def sealing(vault: Vault, inner: MemoryLog | None = None) -> SealedLog:
    """Return a log in memory that seals and signs."""
    return SealedLog(inner or MemoryLog(), vault, "default")


def found(
    vault: Vault, commits: Sequence[StoredCommit], anchors: Anchors | None = None
) -> list[tuple[str, int]]:
    """Return the kinds and positions of everything that is wrong with a log."""
    chains = Chains(vault.verify, "default", anchors)
    violations: list[Violation] = []
    for stored in commits:
        violations += chains.take(stored)
    violations += chains.finish()
    return [(each.kind.value, each.where.position) for each in violations]


def changed(stored: StoredCommit, body: bytes) -> StoredCommit:
    """Return a commit with other bytes in its place."""
    return replace(stored, body=body)
