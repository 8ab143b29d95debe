"""Finds everything that belongs to one execution, and writes it to a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from eventsourcing.persistence import StoredEvent

from talka_protocols.commit import Commit, decode_commit
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.events import Event, PoolConfigured, TaskScheduled
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


async def export_execution(
    execution_id: str,
    path: Path,
    *,
    log: Log,
    blobs: Blobs,
    snapshots: Snapshots,
    namespace: str,
    shards: int,
) -> Manifest:
    """Write an execution with its plan, its pool's commits and its values to one file.

    Raises:
        UnknownExecutionError: there is no such execution.
        BrokenHistoryError: its history or one of its values cannot be read.
        CallerError: the file cannot be written.
    """
    shard = shard_of(execution_id, shards)
    name = LogName(EXECUTION, shard, execution_id)
    stored = list(await log.read(name))
    if not stored:
        raise UnknownExecutionError(execution_id)
    state = await Histories(log, blobs, shards).execution(execution_id)
    manifest = Manifest(execution_id, namespace, shards, state.pool, time.time(), version("talka"))
    workers = set(_workers(stored))
    stored += await log.read(LogName(PLAN, shard, execution_id))
    claims = claims_of(stored)
    pool = await log.read(LogName(POOL, "-", state.pool))
    stored += [commit for commit in pool if _concerns(commit, execution_id, workers)]
    events: list[StoredEvent] = [manifest_event(manifest), *map(commit_event, stored)]
    snapshot = await snapshots.load(name)
    if snapshot is not None:
        events.append(snapshot_event(name, snapshot))
    events += [object_event(claim, await blobs.get(claim)) for claim in claims]
    await asyncio.to_thread(write_archive, path, events)
    return manifest


def _decoded(stored: Iterable[StoredCommit]) -> Iterator[Commit[Event]]:
    for commit in stored:
        yield decode_commit(commit.log, commit.body)


def _workers(stored: Sequence[StoredCommit]) -> Iterator[str]:
    for commit in _decoded(stored):
        for _version, _cause, event in commit.events():
            if isinstance(event, TaskScheduled):
                yield event.worker_id


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


def _concerns(stored: StoredCommit, execution_id: str, workers: set[str]) -> bool:
    """Tell whether a pool's commit is about the execution's allocations, a worker that ran it, or all."""
    prefix = f"{execution_id}/"
    for _version, _cause, event in decode_commit(stored.log, stored.body).events():
        holder: Any = getattr(event, "holder", None)
        if isinstance(event, PoolConfigured) or getattr(holder, "execution_id", "") == execution_id:
            return True
        if (
            getattr(event, "allocation_id", "").startswith(prefix)
            or getattr(event, "worker_id", "") in workers
        ):
            return True
    return False
