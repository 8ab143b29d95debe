"""Finds everything that belongs to one execution and its sub-workflows, and writes it to a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from eventsourcing.persistence import StoredEvent
from msgspec.structs import replace

from talka_core.auditing import Anchor
from talka_core.readmodel import anchor_of
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.events import Event, TaskWaiting
from talka_protocols.ports import Blobs, Log, Snapshots, StoredCommit
from talka_protocols.subjects import EXECUTION, PLAN, POOL, LogName, shard_of
from talka_protocols.workflow import ClaimCheck
from talka_services.client.histories import Histories
from talka_services.exports.archive import (
    Manifest,
    commit_event,
    manifest_event,
    object_event,
    snapshot_event,
    write_archive,
)
from talka_services.exports.pools import PoolCommits
from talka_services.runner.bases import base_name
from talka_services.sealing.ports import SealedLog, bare
from talka_services.sealing.vault import Vault

TALKA = version("talka")


async def export_execution(
    execution_id: str,
    path: Path,
    *,
    log: Log,
    blobs: Blobs,
    snapshots: Snapshots,
    namespace: str,
    shards: int,
    pools: PoolCommits | None = None,
) -> Manifest:
    """Write an execution with its sub-workflows, their plans, pools' commits and values to one file.

    Whoever exports several that are over gives ``pools``, so that the pools' logs are read once for all.

    Raises:
        UnknownExecutionError: there is no such execution.
        BrokenHistoryError: its history or one of its values cannot be read.
        CallerError: the file cannot be written.
    """
    histories = Histories(log, blobs, shards)
    family = await _family(log, execution_id, shards)
    pool_of = {id_: (await histories.execution(id_)).pool for id_ in family}
    children = tuple(id_ for id_ in family if id_ != execution_id)
    manifest = Manifest(
        execution_id,
        namespace,
        shards,
        pool_of[execution_id],
        time.time(),
        TALKA,
        children=children,
    )
    stored = [commit for commits in family.values() for commit in commits]
    for id_ in family:
        stored += await log.read(LogName(PLAN, shard_of(id_, shards), id_))
    claims = claims_of(stored)
    pools = pools or PoolCommits(log)
    for pool in sorted(set(pool_of.values())):
        stored += await pools.about(pool, family)
    vault = log.vault if isinstance(log, SealedLog) else Vault()
    if vault.signs:
        manifest = replace(manifest, anchors=_anchors(stored))
    events: list[StoredEvent] = [manifest_event(manifest, vault), *map(commit_event, stored)]
    for id_, commits in family.items():
        name = LogName(EXECUTION, shard_of(id_, shards), id_)
        snapshot = await bare(snapshots).load(name)
        # One that was taken since then is of an event that the file does not have.
        if snapshot is not None and snapshot.position <= commits[-1].position:
            events.append(snapshot_event(name, snapshot))
    for pool in sorted(set(pool_of.values())):
        # Of a pruned log it says what the rest begins with.
        name = base_name(LogName(POOL, "-", pool))
        if (base := await snapshots.load(name)) is not None:
            events.append(snapshot_event(name, base))
    events += [object_event(claim, await bare(blobs).get(claim)) for claim in claims]
    await asyncio.to_thread(write_archive, path, events)
    return manifest


def _anchors(stored: Iterable[StoredCommit]) -> dict[str, dict[int, Anchor]]:
    """Return what the manifest vouches for: that no log was cut short."""
    anchors: dict[str, dict[int, Anchor]] = {}
    for commit in stored:
        row = anchor_of(commit)
        if row is None:
            continue
        noted = anchors.setdefault(row.log, {})
        if commit.log.kind != POOL:
            noted.clear()
        noted[row.position] = Anchor(row.version, row.digest)
    return anchors


async def _family(log: Log, execution_id: str, shards: int) -> dict[str, Sequence[StoredCommit]]:
    """Return the logs of an execution and of all sub-workflows that it ever had, those of these included."""
    found: dict[str, Sequence[StoredCommit]] = {}
    wanted = [execution_id]
    for id_ in wanted:
        stored = await log.read(LogName(EXECUTION, shard_of(id_, shards), id_))
        if not stored and id_ == execution_id:
            raise UnknownExecutionError(execution_id)
        if stored:
            # One that the planner has not handed over yet has no log.
            found[id_] = stored
            wanted += [child for child in _children(stored) if child not in wanted]
    return found


def _children(stored: Iterable[StoredCommit]) -> Iterator[str]:
    for commit in _decoded(stored):
        for _version, _cause, event in commit.events():
            if isinstance(event, TaskWaiting) and event.kind == WORKFLOW:
                yield event.name


def _decoded(stored: Iterable[StoredCommit]) -> Iterator[Commit[Event]]:
    for commit in stored:
        yield decode_commit(commit.log, commit.body)


def claims_of(stored: Sequence[StoredCommit]) -> list[ClaimCheck]:
    """Return the claim checks of all values that the commits name, each once."""
    claims: dict[str, ClaimCheck] = {}
    for commit in _decoded(stored):
        for _version, _cause, event in commit.events():
            claims |= {claim.sha256: claim for claim in _named_by(event) if isinstance(claim, ClaimCheck)}
    return list(claims.values())


def _named_by(event: Event) -> Iterator[Any]:
    for field in ("claim", "definition"):
        yield getattr(event, field, None)
    yield getattr(getattr(event, "saved", None), "claim", None)
    origin = getattr(event, "origin", None)
    yield from (getattr(origin, name, None) for name in ("claim", "added_claim"))
    yield from getattr(event, "artifacts", {}).values()
