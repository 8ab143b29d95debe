"""Brings an exported execution back into a namespace, as history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from talka_core.scheduler import ExecutionRecord
from talka_protocols.commit import decode_commit
from talka_protocols.errors import CallerError
from talka_protocols.ports import Blobs, Log, StoredCommit
from talka_protocols.seals import without_signature
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import LogName, shard_of
from talka_services.client.histories import Histories
from talka_services.exports.archive import Archive, ArchiveError
from talka_services.exports.collect import claims_of
from talka_services.runner.journal import archived_in
from talka_services.sealing.ports import bare


class ExecutionExistsError(CallerError):
    """An execution id, once used, is never used again."""

    code = "execution_exists"


class Move(NamedTuple):
    """One log on its way: where it ends here, and what is still to be appended.

    ``archived`` is where the fact lies that it was archived from here, 0 if it was not.
    """

    name: LogName
    position: int
    missing: Sequence[StoredCommit]
    archived: int = 0


async def import_execution(archive: Archive, *, log: Log, blobs: Blobs, shards: int) -> ExecutionRecord:
    """Append the logs of executions and plans, after their values; the pool's commits stay in the file.

    Only finished executions come in, with finished sub-workflows: others would
    wait for ever for allocations that their pool no longer knows.

    Raises:
        ExecutionExistsError: the namespace has an execution with this id.
        ArchiveError: the execution in the file is not finished.
        BrokenHistoryError: the file is damaged.
    """
    execution_id = archive.manifest.execution_id
    histories = Histories(archive.log, archive.blobs, archive.manifest.shards)
    state = await histories.execution(execution_id)
    for id_ in (execution_id, *archive.manifest.children):
        status = (await histories.execution(id_)).status
        if status not in FINAL_EXECUTION_STATES:
            raise ArchiveError(
                f"Execution {id_!r} was {status} when it was exported; it cannot go on here.",
                hint=f"Read it where it is: talka status {archive.path}#{id_}.",
            )
    moves = [await _move(archive, name, log, shards) for name in archive.names()]
    if not any(move.missing for move in moves):
        raise ExecutionExistsError(
            f"There is an execution {execution_id!r} here already.",
            hint="Import it into another --namespace or --data-dir.",
        )
    for claim in claims_of([commit for move in moves for commit in move.missing]):
        await bare(blobs).put(await bare(archive.blobs).get(claim))
    archived = {move.name.key: move.archived for move in moves if move.archived}
    for move in moves:
        position = move.position
        # The server may still know by their ids the commits that left it.
        mark = f":{archived[move.name.key]}" if move.name.key in archived else ""
        for commit in move.missing:
            body = commit.sealed or commit.body
            position = await log.append(move.name, position, body, commit.commit_id + mark)
    return state


def _unsigned(commits: Sequence[StoredCommit]) -> list[bytes]:
    """Return the commits without their signatures: what came in unsigned is signed here."""
    return [without_signature(commit.body) for commit in commits]


async def _move(archive: Archive, name: LogName, log: Log, shards: int) -> Move:
    """Compare a log with what is here; an import that was broken off left the beginning of it."""
    there = list(await archive.log.read(name))
    here_name = LogName(name.kind, shard_of(name.key, shards), name.key)
    stored = await log.read(here_name)
    # What was archived from here comes behind the fact that says so, and behind what was refused since.
    fact = next((place for place, commit in enumerate(stored, 1) if archived_in(commit) is not None), 0)
    here = _brought_back(stored[fact:]) if fact else stored
    if _unsigned(here) != _unsigned(there[: len(here)]):
        raise ExecutionExistsError(
            f"There is another execution {name.key!r} here.",
            hint="Import it into another --namespace or --data-dir.",
        )
    return Move(
        here_name,
        stored[-1].position if stored else 0,
        there[len(here) :],
        stored[fact - 1].position if fact else 0,
    )


def _brought_back(stored: Sequence[StoredCommit]) -> Sequence[StoredCommit]:
    """Return the commits from the first version on: an import that was broken off left them."""
    firsts = (place for place, each in enumerate(stored) if decode_commit(each.log, each.body).version == 1)
    return stored[next(firsts, len(stored)) :]
