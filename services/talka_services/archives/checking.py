"""Checks that an archive holds all of an execution before anything of it is removed."""

from __future__ import annotations

from collections.abc import Sequence

from talka_core.scheduler.archiving import is_over
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.ports import Log, StoredCommit
from talka_protocols.subjects import EXECUTION, PLAN, LogName, shard_of
from talka_services.client.histories import Histories
from talka_services.exports import Archive
from talka_services.exports.collect import claims_of


class IncompleteError(BrokenHistoryError):
    """The archive is not what the server has; nothing was removed."""

    code = "archive_incomplete"


async def check(archive: Archive, members: Sequence[str], log: Log, shards: int) -> dict[str, int]:
    """Return how many events each of the executions has, if the archive holds all of them.

    Every commit is compared byte for byte with the server's, every log is folded from the archive alone,
    and every large value is read and its digest compared.

    Raises:
        IncompleteError: something is missing or differs, or an execution in it is not over.
        BrokenHistoryError: what it holds cannot be folded, or a value in it is damaged.
    """
    versions: dict[str, int] = {}
    # Without the snapshots that are in it too: the events alone have to do.
    whole = Histories(archive.log, archive.blobs, archive.manifest.shards)
    for name in members:
        if not archive.holds(name):
            raise IncompleteError(f"{archive.path} does not hold execution {name!r}.")
        live = await _same(archive, LogName(EXECUTION, shard_of(name, shards), name), log)
        live = [*live, *await _same(archive, LogName(PLAN, shard_of(name, shards), name), log)]
        for claim in claims_of(live):
            await archive.blobs.get(claim)
        state = await whole.execution(name)
        if not is_over(state):
            raise IncompleteError(f"In {archive.path} execution {name!r} is not over.")
        versions[name] = state.version
    return versions


async def _same(archive: Archive, name: LogName, log: Log) -> Sequence[StoredCommit]:
    """Return the commits of a log on the server, which are those in the archive."""
    held = LogName(name.kind, shard_of(name.key, archive.manifest.shards), name.key)
    live, stored = await log.read(name), await archive.log.read(held)
    if [(commit.commit_id, commit.body) for commit in live] != [
        (commit.commit_id, commit.body) for commit in stored
    ]:
        raise IncompleteError(
            f"{archive.path} holds {len(stored)} commits of {name}, and the server has {len(live)}.",
            hint="The execution has changed since; archive it again.",
        )
    return live
