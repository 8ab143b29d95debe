"""Goal: the number of workers obeys the policy whatever is asked for, and constant load keeps it still.

Method: hypothesis draws policies and loads; time is virtual, workers come and go as decided, some time later.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.behaviour import step
from talka_core.resource import RESOURCE
from talka_core.resource.scaling import SCALING, active
from talka_core.resource.state import Scaling
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.policies import ScalingPolicy

CORES = 4.0
STARTS_MS = 1_500
"""How long a worker takes to join."""


class Elastic:
    """A pool in virtual time whose workers are started and stopped as it decides."""

    def __init__(self, policy: ScalingPolicy) -> None:
        self.state = RESOURCE.initial("p")
        self.now_ms = 1_000_000
        self.agenda: list[tuple[int, int, str, str]] = []
        self.numbers = count(1)
        self.coming = 0
        self.durations: dict[str, int] = {}
        self.started: set[str] = set()
        self.decided: list[tuple[int, e.ScalingDecided]] = []
        self.tell(m.ScalePool("p", policy))

    @property
    def scaling(self) -> Scaling:
        """Return what the pool remembers of its size."""
        assert self.state.scaling is not None
        return self.state.scaling

    def tell(self, message: m.ResourceMessage) -> None:
        """Let the pool take a message, and carry out what it decides."""
        events, _ = step(RESOURCE, self.state, message, self.now_ms)
        for event in events:
            match event:
                case e.ScalingDecided():
                    self.decided.append((self.now_ms, event))
                case e.AllocationGranted():
                    self.plan(self.durations[event.allocation_id], "end", event.allocation_id)
                case _:
                    pass
        self._reconcile()

    def _reconcile(self) -> None:
        state = self.state
        for _ in range(self.scaling.workers - len(active(state)) - self.coming):
            self.coming += 1
            self.plan(STARTS_MS, "join", f"w{next(self.numbers)}")
        for worker_id, entry in list(state.workers.items()):
            if entry.is_draining and all(grant.worker_id != worker_id for grant in state.grants.values()):
                self.tell(m.WorkerLeft("p", worker_id, entry.incarnation))

    def plan(self, after_ms: int, what: str, name: str) -> None:
        """Let something happen later."""
        heappush(self.agenda, (self.now_ms + after_ms, next(self.numbers), what, name))

    def until(self, end_ms: int) -> None:
        """Let time pass."""
        while True:
            due_at = self.scaling.due_at
            moments = [at for at, *_ in self.agenda[:1]] + [due_at] * (due_at > 0)
            next_ms = min(moments, default=end_ms)
            if next_ms >= end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = max(self.now_ms, next_ms)
            if due_at and due_at <= self.now_ms:
                self.tell(m.TimerFired("p", SCALING))
                continue
            _, _, what, name = heappop(self.agenda)
            self._happen(what, name)

    def _happen(self, what: str, name: str) -> None:
        match what:
            case "join":
                self.coming -= 1
                offer = {"cpu_cores": CORES}
                self.tell(m.RegisterWorker("p", name, 1, ("x",), 64, offer, is_elastic=True))
            case "ask":
                estimate_ms = self.durations[name] if name.startswith("k") else 0
                holder = Holder(name, "t", 1)
                amounts = {"cpu_cores": 1.0}
                self.tell(m.RequestAllocation("p", name, holder, "x", amounts, estimate_ms=estimate_ms))
            case _:
                self.tell(m.ReleaseAllocation("p", name, Holder(name, "t", 1)))

    def load(self, at_ms: int, took_ms: int, *, is_known: bool) -> None:
        """Let a task be asked for at a time."""
        name = f"{'k' if is_known else 'u'}{next(self.numbers)}"
        self.durations[name] = took_ms
        heappush(self.agenda, (at_ms, next(self.numbers), "ask", name))


policies = st.builds(
    ScalingPolicy,
    st.integers(0, 2),
    st.integers(2, 6),
    st.sampled_from((500, 5_000, 30_000)),
    st.sampled_from((0, 1_000, 20_000)),
    st.sampled_from((0, 5_000, 60_000)),
)
loads = st.lists(
    st.tuples(st.integers(0, 200_000), st.integers(1, 40_000), st.booleans(), st.integers(1, 12)), max_size=8
)


@given(policies, loads)
@settings(max_examples=30, deadline=None)
def test_bounds_and_cool_down(policy: ScalingPolicy, drawn: list[tuple[int, int, bool, int]]) -> None:
    """The number stays within its bounds, falls only after a cool-down, and everything runs in the end.

    With nothing left to do, it comes to rest at zero where the policy says so.
    """
    pool = Elastic(policy)
    for at_ms, took_ms, is_known, number in drawn:
        for _ in range(number):
            pool.load(pool.now_ms + at_ms, took_ms, is_known=is_known)
    pool.until(pool.now_ms + 3_000_000)
    state = pool.state
    assert not state.waiting
    assert not state.grants
    for _, event in pool.decided:
        assert policy.min_workers <= event.workers <= policy.max_workers
    for (before_ms, _), (at_ms, event) in pairwise(pool.decided):
        assert event.workers >= event.previous or at_ms - before_ms >= policy.cool_down_ms
    may_rest_at_zero = policy.scale_to_zero_after_ms and not policy.min_workers
    ends_at = 0 if may_rest_at_zero or (not drawn and not policy.min_workers) else max(1, policy.min_workers)
    assert pool.scaling.workers == len(state.workers) == ends_at
    assert pool.scaling.due_at == 0, "it is at rest, and nothing is to be looked at"


@given(st.integers(1, 18), st.integers(4_000, 20_000), st.booleans())
@settings(max_examples=10, deadline=None)
def test_constant_load_keeps_the_number(cores: int, took_ms: int, is_known: bool) -> None:
    """A load that comes evenly, of 0.25 to 4.5 workers' worth, moves the number only while it settles."""
    pool = Elastic(ScalingPolicy(0, 8, 5_000, 30_000, 60_000))
    begins_ms, number = pool.now_ms, 0
    while number * took_ms // cores < 240_000 and number < 300:
        pool.load(begins_ms + number * took_ms // cores, took_ms, is_known=is_known)
        number += 1
    pool.until(begins_ms + number * took_ms // cores)
    settled = [event for at_ms, event in pool.decided if at_ms > begins_ms + 90_000]
    assert all(event.workers < event.previous for event in settled), pool.decided
