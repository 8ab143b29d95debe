"""Archives executions: exports them, checks the file, has that recorded, and only then removes what is there.

Whatever moment it dies at, nothing is lost and the next run goes on:

1. the file is written, published under a name of its own and read back: until then nothing has changed;
2. the scheduler, the only writer of the execution's log, records where it lies, unless it has changed since;
3. what is before that fact leaves the log, with the plan and the snapshots. Runs after one that died here
   find that something is left, make sure that the file is there, and remove it.

Large values are not removed here: housekeeping removes those that nothing names any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from msgspec import Struct, field

from talka_core.archiving import Family, plan
from talka_protocols.errors import PlatformError, ServerUnavailableError, TalkaError
from talka_protocols.messages import ArchiveExecution, Recipient
from talka_protocols.subjects import PLAN, LogName
from talka_services.archives.checking import IncompleteError, check
from talka_services.archives.depots import Depot, TakenError, digest_of
from talka_services.archives.pruned import Pruned
from talka_services.archives.pruner import Pruner
from talka_services.archives.reading import ReadOnce, fetched, newest_commit, opened
from talka_services.archives.survey import Found, Survey
from talka_services.client.histories import Histories
from talka_services.client.requests import Requests
from talka_services.exports import Archive, export_execution
from talka_services.exports.pools import PoolCommits
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.purging import Purge
from talka_services.runner.journal import archived_in
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

AT_ONCE = 32
"""How many executions are on their way to the depot at a time: most of that is waiting."""
RECORDED_S = 15.0
"""How long a scheduler is given to record that an execution is archived."""

log = get_logger(__name__)


class Archived(Struct, frozen=True):
    """An execution that went, with its sub-workflows."""

    execution_id: str
    place: str
    bytes: int
    events: int
    members: tuple[str, ...]


class Outcome(Struct):
    """What a run did, or would do: which executions went, which stay and why, and which failed.

    ``finished`` are those that an earlier run had recorded and not removed wholly.
    """

    archived: list[Archived] = field(default_factory=list[Archived])
    planned: list[Family] = field(default_factory=list[Family])
    kept: dict[str, str] = field(default_factory=dict[str, str])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    finished: list[str] = field(default_factory=list[str])
    pruned: list[Pruned] = field(default_factory=list[Pruned])


class _Run(Struct, frozen=True):
    """What the executions that go at once share; ``directory`` is for what is on its way."""

    found: Found
    pools: PoolCommits
    directory: Path


class Archivist:
    """Archives the executions of one namespace to one depot; several of them disturb nobody.

    ``on_step`` is told before each step that a crash could come before.
    """

    def __init__(
        self,
        connection: Connection,
        ports: Ports,
        depot: Depot,
        on_step: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self._ports = ports
        self._depot = depot
        self._on_step = on_step
        self._connection = connection
        self._purge = Purge(connection)
        self._histories = Histories(ports.log, ports.blobs, ports.shards, ports.snapshots)
        self._requests = Requests(ports, self._histories, f"archivist-{uuid4().hex[:12]}")
        self._survey = Survey(connection, ports, self._histories)
        self._pruner = Pruner(connection, ports, on_step)

    async def run(
        self,
        ended_before: int,
        wanted: Collection[str] | None = None,
        *,
        is_dry: bool = False,
        limit: int | None = None,
    ) -> Outcome:
        """Archive what has been over since before an instant (milliseconds since the epoch).

        Args:
            ended_before: the instant.
            wanted: only these executions, and what goes with them; all unless given.
            is_dry: only tell what would go.
            limit: the most executions of their own that go in one run.

        Raises:
            PlatformError: the server does not answer, or refuses.
        """
        found = await self._survey.look(ended_before)
        planned = plan(found.standings, ended_before, wanted)
        outcome = Outcome(kept=planned.kept, planned=[*planned.families[:limit]])
        if is_dry:
            return outcome
        for name in found.leftovers:
            await self._finish_again(name, outcome)
        await self._archive_all(found, outcome)
        after = await self._survey.look(ended_before)
        outcome.pruned = await self._pruner.run(after.is_archived, ended_before)
        return outcome

    async def _archive_all(self, found: Found, outcome: Outcome) -> None:
        """Archive what is planned, some at once."""
        some = asyncio.Semaphore(AT_ONCE)

        async def one(family: Family, run: _Run) -> None:
            async with some:
                try:
                    outcome.archived.append(await self._archive(family, run))
                except ServerUnavailableError:
                    raise
                except TalkaError as error:
                    log.warning("archive.failed", execution=family.root, error=str(error))
                    outcome.failed[family.root] = str(error)

        try:
            with TemporaryDirectory(prefix="talka-archive-") as directory:
                run = _Run(found, PoolCommits(self._ports.log), Path(directory))
                async with asyncio.TaskGroup() as group:
                    for family in outcome.planned:
                        group.create_task(one(family, run))
        except BaseExceptionGroup as errors:
            # They have one cause: what one of them met would have met the others.
            raise errors.exceptions[0] from None

    async def _archive(self, family: Family, run: _Run) -> Archived:
        ports, root, log_ = self._ports, family.root, ReadOnce(self._ports.log)
        draft = run.directory / f"{root}.draft"
        manifest = await export_execution(
            root,
            draft,
            log=log_,
            blobs=ports.blobs,
            snapshots=ports.snapshots,
            namespace=ports.names.namespace,
            shards=ports.shards,
            pools=run.pools,
        )
        strangers = {root, *manifest.children} - {*family.members}
        if any(not run.found.is_archived(name) for name in strangers):
            raise IncompleteError(f"Sub-workflows of {root!r} have changed since they were looked at.")
        with Archive(draft) as archive:
            versions = await check(archive, family.members, log_, ports.shards)
        name = f"{root}.{versions[root]}.talka.sqlite"
        self._on_step("publish")
        sha256 = await self._publish(name, draft, family)
        size = await asyncio.to_thread(_removed, draft)
        place = self._depot.url(name)
        for member in family.members:
            self._on_step("record")
            after = (await log_.read(self._histories.name(member)))[-1].position
            request = ArchiveExecution(member, uuid4().hex, versions[member], place, sha256, root)
            await self._record(request, after)
        for member in family.members:
            await self._finish(member)
        log.info("archive.archived", execution=root, place=place, members=len(family.members))
        return Archived(root, place, size, sum(versions.values()), family.members)

    async def _publish(self, name: str, draft: Path, family: Family) -> str:
        """Publish the file and read it back; one from a run before is used if it holds the same."""
        try:
            await self._depot.put(name, draft)
            sha256 = digest_of(draft)
        except TakenError:
            sha256 = ""
        async with fetched(self._depot, name) as there:
            if digest_of(there) == sha256:
                return sha256
            with Archive(there) as archive:
                await check(archive, family.members, self._ports.log, self._ports.shards)
            return digest_of(there)

    async def _record(self, request: ArchiveExecution, after: int) -> None:
        """Have the scheduler record behind a position of its log where an execution lies.

        Raises:
            RequestRefusedError: it has changed since, or is archived already.
            PlatformError: no scheduler has recorded it in time.
        """
        name = self._histories.name(request.key)
        try:
            async with asyncio.timeout(RECORDED_S):
                await self._requests.ask(Recipient.SCHEDULER, request, name, after)
        except TimeoutError:
            raise PlatformError(
                f"No scheduler recorded within {RECORDED_S:g} s that {request.key!r} is archived.",
                hint="Start one (`talka up`, `talka service scheduler`) and archive again; nothing is lost.",
            ) from None

    async def _finish_again(self, name: str, outcome: Outcome) -> None:
        """Remove what a run before did not, if the archive is there."""
        try:
            if await self._finish_checked(name):
                outcome.finished.append(name)
        except ServerUnavailableError:
            raise
        except TalkaError as error:
            log.warning("archive.not_finished", execution=name, error=str(error))
            outcome.failed[name] = str(error)

    async def _finish_checked(self, key: str) -> bool:
        """Remove what is archived of an execution if its archive is there; tell if there was anything."""
        name = self._histories.name(key)
        commits = await self._ports.log.read(name)
        places = [place for place, commit in enumerate(commits) if archived_in(commit) is not None]
        if not places:
            return False
        archived = archived_in(commits[places[-1]])
        assert archived is not None, "it was found there"
        if places[-1] > 0:
            async with opened(archived.place, archived.sha256):
                pass
        await self._remove(name, commits[places[-1]].position)
        return True

    async def _finish(self, key: str) -> None:
        """Remove what has just been recorded to be archived."""
        name = self._histories.name(key)
        newest = await newest_commit(self._connection, name)
        if newest is not None and archived_in(newest) is not None:
            await self._remove(name, newest.position)
        else:
            # Somebody has asked something of it meanwhile.
            await self._finish_checked(key)

    async def _remove(self, name: LogName, before: int) -> None:
        plan_name = LogName(PLAN, name.shard, name.key)
        self._on_step("purge plan")
        await self._purge.log(plan_name)
        self._on_step("purge snapshots")
        await self._purge.snapshots(plan_name)
        await self._purge.snapshots(name)
        self._on_step("purge log")
        await self._purge.log_before(name, before)


def _removed(file: Path) -> int:
    """Remove a file, and return how many bytes it had."""
    size = file.stat().st_size
    file.unlink()
    return size
