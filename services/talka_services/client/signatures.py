"""Audits the signatures of whole logs, live or in exported files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from msgspec.structs import replace

from talka_core.auditing import Anchors, Chains, Kind, Verdict, Violation, Where
from talka_core.auditing.chains import UNKNOWN_AT
from talka_core.auditing.violations import violation
from talka_protocols.commit import KINDS
from talka_protocols.ports import Snapshots
from talka_protocols.subjects import POOL, SHARD
from talka_services.client.audits import KEPT, Audit, Signatures
from talka_services.exports.archive import MANIFEST, Archive, manifest_place
from talka_services.runner.bases import PRUNED, bases_of
from talka_services.sealing.ports import SealedLog

Compared = tuple[list[Violation], Signatures]


async def audit_signatures(
    log: SealedLog,
    namespace: str,
    anchors: Anchors | None = None,
    *,
    snapshots: Snapshots | None = None,
    is_export: bool = False,
    since_ms: int = 0,
    on_read: Callable[[int, int], None] | None = None,
) -> Compared:
    """Compare everything in a log port with its signatures, its order, and what was noted of it.

    Where ``snapshots`` has the base of a pruned log, the log begins behind that.

    Raises:
        UnknownKeyError: something is sealed, and there are no keys.
    """
    chains = Chains(log.vault.verify, namespace, anchors, (POOL,) if is_export else ())
    if snapshots is not None:
        async for name, base in bases_of(PRUNED, log, snapshots):
            live = base.state.live if name.kind == SHARD else ()
            chains.begin(name, base.position, base.version, live)
    found, taken = list[Violation](), 0
    async with aclosing(log.read_all(KINDS)) as heaps:
        async for heap in heaps:
            for stored in heap.commits:
                found += chains.take(stored)
            taken += len(heap.commits)
            if on_read is not None:
                on_read(taken, heap.following)
            await asyncio.sleep(0)
    found += chains.finish()
    anchored = sum(map(len, (anchors or {}).values()))
    late = [each for each in found if each.where.at >= since_ms]
    return late, Signatures(chains.signed, chains.unsigned, anchored)


async def audit_archive(
    archive: Archive, since_ms: int = 0, on_read: Callable[[int, int], None] | None = None
) -> Compared:
    """Compare an exported file with its signatures; its own manifest vouches for where its logs end."""
    manifest = archive.manifest
    found, signatures = await audit_signatures(
        archive.log,
        manifest.namespace,
        manifest.anchors,
        is_export=True,
        since_ms=since_ms,
        on_read=on_read,
    )
    sentence = _fault(archive) if signatures.signed or archive.signature is not None else ""
    if sentence:
        found.insert(0, violation((Kind.CHANGED, sentence), Where(str(MANIFEST), 0, 1, UNKNOWN_AT)))
    return found, signatures


def with_signatures(audit: Audit, compared: Compared) -> Audit:
    """Return an audit with what was found about signatures."""
    found, signatures = compared
    violations = (*found, *audit.violations)[:KEPT]
    return replace(audit, violations=violations, count=audit.count + len(found), signatures=signatures)


def _fault(archive: Archive) -> str:
    if archive.signature is None:
        return "The file's manifest is not signed, so nothing says whether its logs are whole."
    match archive.vault.verify(manifest_place(archive.manifest), archive.signature):
        case Verdict.TRUE:
            return ""
        case Verdict.FALSE:
            return "The file's manifest was changed since it was signed."
        case Verdict.UNKNOWN_KEY:
            return (
                f"The file's manifest is signed with the key {archive.signature.key_id!r}, which is not here."
            )
