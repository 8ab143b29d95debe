"""Logs of workers that are gone for good leave the server; those that any pool may still ask about stay."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from importlib import import_module

import pytest
import pytest_asyncio
from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS, platform
from tests.integration.test_pruning import check_audits, tell_pool

from talka import Orchestrator, Task
from talka_protocols.commit import decode_commit
from talka_protocols.errors import ConflictError
from talka_protocols.messages import RegisterWorker, WorkerLeft
from talka_protocols.subjects import WORKER, LogName, Names
from talka_protocols.workflow import Workflow
from talka_services.archives.pruner import SETTLED_MS, Pruner
from talka_services.archives.removal import UNREAD_MS
from talka_services.runner.bases import base_name, base_of
from talka_services.runner.ports import SystemClock
from talka_services.service.incarnations import Incarnations

WORK = Workflow("work", "work", (Task("a", "sleep", payload={"seconds": 0.0}),))
GONE, LOST = (LogName(WORKER, "-", key) for key in ("gone", "lost"))


class CrashedError(Exception):
    """The pruner dies here."""


class FixedClock(SystemClock):
    """A clock that stands still."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return when that is."""
        return self._now_ms


async def prune(
    talka: Orchestrator,
    before: int = LATER_MS,
    on_step: Callable[[str], None] = lambda _step: None,
    at: int = LATER_MS,
) -> dict[str, int]:
    """Prune on a day when all is old, and return how many events left each log of a worker."""
    ports = replace(talka.node.ports, clock=FixedClock(at))
    found = await Pruner(talka.node.connection, ports, on_step).run(lambda _name: False, before)
    return {each.log: each.events for each in found if each.log.startswith(WORKER) and each.events}


async def versions(talka: Orchestrator, name: LogName) -> list[int]:
    """Return the versions of the commits that a log holds."""
    stored = await talka.node.ports.log.read(name)
    return [decode_commit(each.log, each.body).version for each in stored]


async def live_and_leave(talka: Orchestrator, worker_id: str) -> None:
    """Let a worker begin, join the pool and leave it."""
    incarnations = Incarnations(worker_id, "default", talka.node.ports)
    number = await incarnations.begin()
    await incarnations.end()
    await tell_pool(
        talka,
        RegisterWorker("default", worker_id, number, ("sleep",), 1, {"cpu_cores": 1.0}),
        WorkerLeft("default", worker_id, number, "It was stopped."),
    )
    async with aclosing(talka.histories.follow_pool("default")) as pools:
        async for pool in pools:
            if worker_id in pool.lost:
                return


@pytest_asyncio.fixture
async def talka(
    nats_server: NatsServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Orchestrator]:
    """A pool that remembers one lost worker, and has lost two."""
    monkeypatch.setattr(import_module("talka_core.resource.evolve"), "LOST_KEPT", 1)
    async with platform(nats_server, names) as orchestrator:
        await live_and_leave(orchestrator, GONE.key)
        await live_and_leave(orchestrator, LOST.key)
        assert "gone" not in (await orchestrator.histories.pool("default")).lost
        yield orchestrator


async def test_only_what_no_pool_knows_goes(talka: Orchestrator) -> None:
    """One that is there and one that is remembered as lost keep their logs; of the other nothing is left."""
    assert await prune(talka, before=1) == {}
    assert await prune(talka) == {str(GONE): 2}
    assert await versions(talka, GONE) == []
    assert await talka.node.ports.snapshots.load(base_name(GONE)) is None
    assert await versions(talka, LOST) == [1, 2]
    assert await versions(talka, LogName(WORKER, "-", "w1")) == [1]
    assert await prune(talka) == {}
    await check_audits(talka)
    assert (await talka.wait(await talka.submit_workflow(WORK))).status == "succeeded"


async def test_a_worker_of_which_the_pool_may_have_yet_to_read_stays(talka: Orchestrator) -> None:
    """For as long as what it has written to the pool may lie in the inbox."""
    now = SystemClock().now_ms()
    assert await prune(talka, at=now + SETTLED_MS + 60_000) == {}
    assert await prune(talka, at=now + UNREAD_MS + 60_000) == {str(GONE): 2}


async def test_one_that_comes_back_begins_again(talka: Orchestrator) -> None:
    """As the first incarnation, also where a run died before it had removed the base."""

    def die(step: str) -> None:
        if step == "purge base of worker":
            raise CrashedError

    with pytest.raises(CrashedError):
        await prune(talka, on_step=die)
    assert (await versions(talka, GONE), (await base_of(GONE, talka.node.ports.snapshots)).version) == ([], 2)
    incarnations = Incarnations(GONE.key, "default", talka.node.ports)
    assert await incarnations.begin() == 1
    await incarnations.end()
    assert await versions(talka, GONE) == [1, 2]
    await check_audits(talka)
    assert await prune(talka) == {str(GONE): 2}


async def test_a_process_whose_log_was_removed_goes_on(talka: Orchestrator) -> None:
    """It takes the next number, and still ends where another process has taken its id."""
    incarnations = Incarnations("cut-off", "default", talka.node.ports)
    assert await incarnations.begin() == 1
    assert await incarnations.begin() == 2
    assert await prune(talka) == {str(GONE): 2, "worker.cut-off": 2}
    assert await incarnations.begin() == 3
    assert await versions(talka, incarnations.name) == [1]
    assert await Incarnations("cut-off", "default", talka.node.ports).begin() == 4
    with pytest.raises(ConflictError, match="another process"):
        await incarnations.begin()


async def test_a_log_that_is_removed_while_it_is_written_to(
    talka: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first, the incarnation is recorded, and what is left can be folded."""
    incarnations = Incarnations(GONE.key, "default", talka.node.ports)
    record = vars(Incarnations)["_record"]
    gone: list[dict[str, int]] = []

    async def removed_before(self: Incarnations, event: object) -> None:
        if not gone:
            gone.append(await prune(talka))
        await record(self, event)

    monkeypatch.setattr(Incarnations, "_record", removed_before)
    assert (await incarnations.begin(), gone) == (1, [{str(GONE): 2}])
    monkeypatch.undo()
    assert await versions(talka, GONE) == [1]
    await check_audits(talka)
