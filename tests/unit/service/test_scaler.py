"""Goal: as many worker processes run as the pool decided, whatever becomes of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable

import pytest

from talka_core.resource.state import Grant, PoolRecord, Scaling, WorkerEntry
from talka_protocols.events import Holder
from talka_protocols.policies import ScalingPolicy
from talka_services.service import restarts, scaler
from talka_services.service.scaler import Scaler


class FakeProcess:
    """A worker's process that ends when it is told to, unless it is stubborn."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.ended = asyncio.Event()
        self.is_stubborn = False

    def send_signal(self, number: int, /) -> None:
        """Note the signal, and end."""
        self.signals.append(number)
        if number == signal.SIGKILL or not self.is_stubborn:
            self.ended.set()

    async def wait(self) -> int:
        """Return when it has ended."""
        await self.ended.wait()
        return 0


class World:
    """A pool's state that tests change, as a scaler follows it, and the processes that it starts."""

    def __init__(self, workers: int) -> None:
        self.state = PoolRecord("p", scaling=Scaling(ScalingPolicy(0, 9), workers))
        self.changes: asyncio.Queue[None] = asyncio.Queue()
        self.processes: dict[str, FakeProcess] = {}

    async def follow_pool(self, _pool: str) -> AsyncGenerator[PoolRecord]:
        """Yield the state now, and after each change."""
        yield self.state
        while True:
            await self.changes.get()
            yield self.state

    async def spawn(self, worker_id: str) -> FakeProcess:
        """Start a process."""
        process = self.processes[worker_id] = FakeProcess()
        return process

    def join(self, *worker_ids: str) -> None:
        """Let the pool know workers."""
        for worker_id in worker_ids:
            self.state.workers[worker_id] = WorkerEntry(1, (), {}, {}, is_elastic=True)

    def decide(self, workers: int) -> None:
        """Let the pool decide."""
        assert self.state.scaling is not None
        self.state.scaling.workers = workers
        self.changes.put_nowait(None)

    @property
    def running(self) -> set[str]:
        """Return the workers whose processes run and were told nothing."""
        return {
            name
            for name, process in self.processes.items()
            if not process.ended.is_set() and not process.signals
        }


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not is_so():  # noqa: ASYNC110  (the scaler tells nobody what it did)
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "AGAIN_S", 0.01)
    monkeypatch.setattr(scaler, "STOP_S", 0.05)


async def test_missing_ones_are_started_and_others_count() -> None:
    """Three are wanted, and one is somebody else's: two processes, and again two after a crash."""
    world = World(3)
    world.join("other")
    running = asyncio.create_task(Scaler("p", world, world.spawn).run())  # type: ignore[arg-type]
    await _until(lambda: len(world.running) == 2)
    world.processes[next(iter(world.running))].ended.set()
    await _until(lambda: len(world.processes) == 3)
    assert len(world.running) == 2
    running.cancel()
    await asyncio.wait([running])
    assert not world.running
    assert [signal.SIGTERM] in [process.signals for process in world.processes.values()]


async def test_a_drained_worker_is_stopped_when_it_holds_nothing() -> None:
    """As long as the pool has a grant there it is left alone; one that never joined is stopped at once."""
    world = World(2)
    running = asyncio.create_task(Scaler("p", world, world.spawn).run())  # type: ignore[arg-type]
    await _until(lambda: len(world.running) == 2)
    first, second = world.running
    world.join(first)
    world.state.workers[first].is_draining = True
    world.state.grants["a"] = Grant(Holder("e", "t", 1), "x", first, 1, {}, 1)
    world.decide(1)
    await asyncio.sleep(0.02)
    assert world.running == {first, second}
    del world.state.grants["a"]
    world.decide(1)
    await _until(lambda: world.running == {second})
    assert world.processes[first].signals == [signal.SIGTERM]
    world.decide(0)
    await _until(lambda: not world.running)
    running.cancel()
    await asyncio.wait([running])


async def test_what_does_not_end_is_killed_with_the_scaler() -> None:
    """A process that ignores SIGTERM does not outlive it."""
    world = World(1)
    running = asyncio.create_task(Scaler("p", world, world.spawn).run())  # type: ignore[arg-type]
    await _until(lambda: len(world.running) == 1)
    (process,) = world.processes.values()
    process.is_stubborn = True
    running.cancel()
    await asyncio.wait([running])
    assert process.signals == [signal.SIGTERM, signal.SIGKILL]


async def test_without_a_policy_nothing_is_started() -> None:
    """What runs stays as it is."""
    world = World(1)
    world.state.scaling = None
    running = asyncio.create_task(Scaler("p", world, world.spawn).run())  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert world.processes == {}
