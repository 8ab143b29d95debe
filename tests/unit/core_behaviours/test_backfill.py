"""Large requests do not starve: who passes one that waits does not make it wait longer."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_chaos.invariants import check_pool
from talka_core.behaviour import step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.backfill import PATIENCE_MS
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder

CORES = 4.0


class Cluster:
    """A pool with one worker, on which what is granted runs for its time."""

    def __init__(self, cores: float = CORES, workers: int = 1) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.now = 1_000
        self.lasting: dict[str, int] = {}
        self.began: dict[str, int] = {}
        self.ends: list[tuple[int, str, Holder]] = []
        for number in range(workers):
            self.tell(m.RegisterWorker("p", f"w{number}", 1, ("work",), 99, {"cpu_cores": cores}))

    def tell(self, *messages: Any) -> None:
        """Take messages that arrive together."""
        for _, events, _ in step_batch(RESOURCE, self.state, messages, self.now):
            for event in events:
                if isinstance(event, e.AllocationGranted):
                    self.began[event.allocation_id] = self.now
                    ends_at = self.now + self.lasting.get(event.allocation_id, 0)
                    if event.allocation_id in self.lasting:
                        heappush(self.ends, (ends_at, event.allocation_id, event.holder))
        check_pool(self.state)

    def request(self, name: str, cores: float, lasts_ms: int, **more: Any) -> m.RequestAllocation:
        """Return a request of an execution of its own, unless ``of`` names one."""
        self.lasting[name] = lasts_ms
        estimate_ms = lasts_ms if more.get("is_estimated", True) else 0
        holder = Holder(more.get("of", name), name, 1)
        rank = (more.get("rank", 0.0),)
        return m.RequestAllocation(
            "p", name, holder, "work", {"cpu_cores": cores}, rank, estimate_ms=estimate_ms
        )

    def ask(self, name: str, cores: float, lasts_ms: int, **more: Any) -> None:
        """Ask for cores."""
        self.tell(self.request(name, cores, lasts_ms, **more))

    def run(self, until: int) -> None:
        """Let time pass, and what runs end."""
        while self.ends and self.ends[0][0] <= until:
            self.now, name, holder = heappop(self.ends)
            self.tell(m.ReleaseAllocation("p", name, holder))
        self.now = until


@pytest.mark.parametrize("is_estimated", [True, False])
def test_a_large_request_does_not_starve(is_estimated: bool) -> None:
    """A stream of small tasks that always leaves too little free does not keep a large one out for ever."""
    cluster, random = Cluster(), Random(1)
    for number in range(4_000):
        cluster.ask(f"small{number}", 1.0, random.randrange(500, 1_500), is_estimated=is_estimated, rank=1.0)
        if number == 20:
            cluster.ask("large", CORES, 1_000, is_estimated=is_estimated)
        cluster.run(cluster.now + 200)
    asked_at = 1_000 + 20 * 200
    assert cluster.began["large"] - asked_at <= (3_000 if is_estimated else 2 * PATIENCE_MS)


def test_what_ends_in_time_passes_and_what_does_not_waits() -> None:
    """Cores that would be idle until the head begins are used by who is surely gone by then."""
    cluster = Cluster()
    cluster.ask("running", 2.0, 10_000)
    cluster.ask("head", 4.0, 1_000)
    cluster.ask("long", 1.0, 10_001)
    cluster.ask("short", 2.0, 9_999)
    cluster.ask("unknown", 1.0, 5_000, is_estimated=False)
    assert sorted(cluster.began) == ["running", "short"]
    cluster.run(100_000)
    assert cluster.began["head"] == 11_000
    assert {"long", "unknown"} <= cluster.began.keys()


def test_what_leaves_the_head_enough_passes() -> None:
    """A head that needs less than all leaves the rest to others, once."""
    cluster = Cluster()
    cluster.ask("running", 3.0, 10_000)
    cluster.ask("head", 3.0, 1_000)
    cluster.ask("first", 1.0, 99_000)
    assert sorted(cluster.began) == ["first", "running"]
    cluster.run(50_000)
    assert cluster.began["head"] == 11_000


def test_tasks_of_the_same_execution_pass_freely() -> None:
    """Within one execution the strategy decides what goes first."""
    cluster = Cluster()
    cluster.ask("running", 2.0, 10_000, of="e")
    cluster.ask("head", 4.0, 1_000, of="e")
    cluster.ask("own", 1.0, 99_000, of="e", rank=1.0)
    assert sorted(cluster.began) == ["own", "running"]


def test_another_worker_may_always_be_used() -> None:
    """Only the worker that is held is left alone."""
    cluster = Cluster(workers=2)
    cluster.ask("one", 4.0, 10_000)
    cluster.ask("two", 3.0, 20_000)
    cluster.ask("head", 4.0, 1_000)
    cluster.ask("long", 1.0, 90_000)
    assert sorted(cluster.began) == ["long", "one", "two"]
    cluster.run(15_000)
    assert cluster.began["head"] == 11_000


def test_an_impossible_request_holds_nothing() -> None:
    """What no worker can ever meet keeps nobody waiting."""
    cluster = Cluster()
    cluster.ask("running", 2.0, 10_000)
    cluster.ask("impossible", 5.0, 1_000)
    cluster.ask("small", 1.0, 90_000, is_estimated=False)
    assert sorted(cluster.began) == ["running", "small"]


JOBS = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(1, 4), st.integers(1, 3_000)), min_size=2, max_size=25
)


@settings(max_examples=200, deadline=None)
@given(JOBS)
def test_the_head_begins_as_if_nobody_had_passed_it(jobs: list[tuple[int, int, int]]) -> None:
    """With true estimates, nothing that is granted later makes the first that waits begin later."""
    cluster, promised = Cluster(), dict[str, int]()
    for number, (pause_ms, cores, lasts_ms) in enumerate(jobs):
        cluster.run(cluster.now + pause_ms)
        cluster.ask(f"j{number}", float(cores), lasts_ms)
        if cluster.state.waiting and not promised:
            head = next(iter(cluster.state.waiting))
            promised[head] = _earliest(cluster, cluster.state.waiting[head].amounts["cpu_cores"])
    cluster.run(cluster.now + 1_000_000)
    assert len(cluster.began) == len(jobs)
    assert all(cluster.began[head] <= at for head, at in promised.items())


def _earliest(cluster: Cluster, cores: float) -> int:
    """Return when so many cores are free if only what runs now runs on."""
    free = CORES - sum(grant.amounts["cpu_cores"] for grant in cluster.state.grants.values())
    for ends_at, name, _ in sorted(cluster.ends):
        free += cluster.state.grants[name].amounts["cpu_cores"]
        if free >= cores:
            return ends_at
    raise AssertionError("all that runs together leaves enough")


def test_who_waits_is_not_passed_by_a_newcomer_when_a_hold_has_ended_by_time() -> None:
    """What a hold kept from a request is its own when the hold is over, and not that of whoever asks next."""
    cluster = Cluster()
    cluster.ask("running", 2.0, 600_000, is_estimated=False)
    cluster.now += 1_000
    cluster.ask("large", 4.0, 1_000, rank=1.0)
    cluster.now += PATIENCE_MS + 1
    cluster.ask("waits", 2.0, 300_000, rank=2.0, is_estimated=False)
    assert "waits" not in cluster.began, "the worker is held for the large one"
    cluster.now += PATIENCE_MS
    cluster.ask("newcomer", 1.5, 300_000, rank=3.0, is_estimated=False)
    assert "waits" in cluster.began
    assert "newcomer" not in cluster.began
