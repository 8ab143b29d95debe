"""Goal: what was held of a pool over time, exactly, whatever its log says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.core_simulation.golden import HISTORIES, commits_of

from talka_core.resource.evolve import evolve
from talka_core.resource.state import initial, thousandths
from talka_core.utilisation import Series, utilisation
from talka_protocols.events import (
    AllocationFreed,
    AllocationGranted,
    Holder,
    PoolEvent,
    WorkerJoined,
    WorkerLost,
)
from talka_protocols.subjects import POOL

History = list[tuple[int, PoolEvent]]
Levels = dict[tuple[str, str], tuple[int, int]]


def joined(worker_id: str, incarnation: int = 1) -> WorkerJoined:
    return WorkerJoined(worker_id, incarnation, ("work",), 4, {"cpu_cores": 2.0}, slots_by_agent={"work": 1})


def granted(allocation_id: str, worker_id: str, fence: int) -> AllocationGranted:
    holder = Holder("e", allocation_id, 1)
    return AllocationGranted(allocation_id, holder, "work", worker_id, 1, fence, {"cpu_cores": 1.5})


def freed(allocation_id: str) -> AllocationFreed:
    return AllocationFreed(allocation_id, Holder("e", allocation_id, 1))


def test_each_slice_holds_its_average() -> None:
    """Half a slice at 1.5 cores is 0.75; who comes late is there in part; who is lost holds nothing."""
    history: History = [
        (0, joined("one")),
        (50, granted("a", "one", 1)),
        (250, freed("a")),
        (250, joined("two")),
        (260, granted("b", "two", 2)),
        (280, WorkerLost("two", 1)),
    ]
    found = utilisation(history, 0, 400, 4)
    assert (found.slice_ms, list(found.workers)) == (100.0, ["one", "two"])
    one, two = found.workers["one"], found.workers["two"]
    assert one["cpu_cores"] == Series((2.0, 2.0, 2.0, 2.0), (0.75, 1.5, 0.75, 0.0), 2.0, 1.5)
    assert two["cpu_cores"] == Series((0.0, 0.0, 0.6, 0.0), (0.0, 0.0, 0.3, 0.0), 2.0, 1.5)
    assert one["slots"].held == (0.5, 1.0, 0.5, 0.0)
    assert set(one) == {"cpu_cores", "slots"}
    assert found.pool["cpu_cores"].held == (0.75, 1.5, 1.05, 0.0)
    assert (found.pool["cpu_cores"].most_capacity, found.pool["cpu_cores"].most_held) == (4.0, 1.5)


def test_what_was_before_counts_and_what_comes_after_does_not() -> None:
    """A grant from before the first slice fills it; a worker that left before it is not shown."""
    history: History = [
        (0, joined("gone")),
        (1, WorkerLost("gone", 1)),
        (2, joined("one")),
        (3, granted("a", "one", 1)),
        (700, freed("a")),
    ]
    found = utilisation(history, 100, 200, 1)
    assert list(found.workers) == ["one"]
    assert found.workers["one"]["cpu_cores"].held == (1.5,)
    assert utilisation([], 100, 200, 3).pool == {}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_the_averages_are_those_of_the_whole_state(path: Path) -> None:
    """Of every golden history they are what summing up every level after every event gives."""
    for history in pools(path):
        since, until = history[0][0], history[-1][0] + 7
        expected = summed(history, until)
        found = utilisation(history, since, until, 1)
        own = {
            (worker_id, name): (series.capacity[0], series.held[0])
            for worker_id, levels in found.workers.items()
            for name, series in levels.items()
        }
        assert own == {key: pytest.approx(value, abs=1e-5) for key, value in expected.items() if key[0]}
        cut = utilisation(history, since, until, 13)
        for name, series in found.pool.items():
            assert sum(cut.pool[name].held) / 13 == pytest.approx(series.held[0], abs=1e-5)
            whole = sum(held for (_, resource), (_, held) in expected.items() if resource == name)
            assert series.held[0] == pytest.approx(whole, abs=1e-5)


def pools(path: Path) -> list[History]:
    """Return the histories of the pools in a golden history."""
    return [
        [(commit.at, event) for commit in commits for _, _, event in commit.events()]
        for log, commits in commits_of(path).items()
        if log.kind == POOL
    ]


def summed(history: History, until: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the average of what each worker and the pool had and what was held, by looking at all of it."""
    state, last, sums = initial(""), history[0][0], dict[tuple[str, str], list[float]]()
    levels: Levels = {}
    for at, event in [*history, (until, None)]:
        for key, (capacity, held) in levels.items():
            entry = sums.setdefault(key, [0.0, 0.0])
            entry[0] += capacity * (at - last) / 1000
            entry[1] += held * (at - last) / 1000
        last = at
        if event is not None:
            evolve(state, event, at)
        levels = {
            (worker_id, name): (amount, amount - entry.free.get(name, 0))
            for worker_id, entry in state.workers.items()
            for name, amount in entry.capacity.items()
            if not name.startswith("slots:")
        }
        levels |= {
            ("", name): (amount, state.shared_used.get(name, 0))
            for name, amount in thousandths(state.shared).items()
        }
    length = until - history[0][0]
    return {key: (a / length, b / length) for key, (a, b) in sums.items() if a}
