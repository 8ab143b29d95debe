"""Goal: no worker idles beside waiting work that it could run, so there is nothing to steal.

Method: hypothesis drives a pool with requests, hand-ons, releases, and workers that join, drain and are lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.behaviour import step, step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.labels import admits
from talka_core.resource.placement import fits, may_run, need_of
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.events import Affinity, Holder
from talka_protocols.workflow import Task

WORKERS = ("w1", "w2", "w3")
amounts = st.fixed_dictionaries(
    {"cpu_cores": st.sampled_from((0.5, 1.0, 2.0, 4.0))}, optional={"licence": st.just(1.0)}
)


class Ask(NamedTuple):
    """A request that is made."""

    amounts: dict[str, float]
    agent_type: str
    requires: dict[str, str]
    rank: int


requests = st.builds(
    Ask, amounts, st.sampled_from(("x", "y")), st.sampled_from(({}, {"zone": "a"})), st.integers(0, 3)
)
steps = st.one_of(
    requests,
    requests,
    requests,
    st.tuples(st.sampled_from(("free", "hand on")), st.integers(0, 30)),
    st.tuples(st.sampled_from(("join", "drain", "lose")), st.sampled_from(WORKERS)),
)


class Driven:
    """A pool, the time, and what the next step is called."""

    def __init__(self) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.now_ms = 1_000_000
        self.numbers = count(1)
        self.tell(m.ConfigurePool("p", {"licence": 1.0}))

    def tell(self, *messages: m.ResourceMessage) -> None:
        """Let the pool take messages that arrived together."""
        self.now_ms += 1_000
        list(step_batch(RESOURCE, self.state, messages, self.now_ms))

    def message(self, drawn: Sequence[object]) -> m.ResourceMessage | None:
        """Return what a drawn step tells the pool, as it is now."""
        match drawn:
            case Ask():
                name = f"a{next(self.numbers)}"
                holder = Holder(f"e{drawn.rank % 2}", name, 1)
                rank, affinity = (float(drawn.rank),), Affinity(drawn.requires)
                return m.RequestAllocation(
                    "p", name, holder, drawn.agent_type, drawn.amounts, rank, "", affinity
                )
            case ("free" | "hand on") as what, int() as position if self.state.grants:
                name = list(self.state.grants)[position % len(self.state.grants)]
                grant = self.state.grants[name]
                if what == "hand on" and grant.hands and not grant.is_revoked:
                    holder = Holder(grant.holder.execution_id, f"t{next(self.numbers)}", 1)
                    return m.RecordHandOn("p", name, holder, grant.fence + 1)
                return m.ReleaseAllocation("p", name, grant.holder)
            case "join", str() as worker_id:
                types = ("x", "y") if worker_id != "w3" else ("x",)
                labels = {"zone": "a"} if worker_id == "w1" else {}
                offer = {"cpu_cores": 2.0}
                return m.RegisterWorker("p", worker_id, next(self.numbers), types, 3, offer, labels=labels)
            case ("drain" | "lose") as what, str() as worker_id if worker_id in self.state.workers:
                incarnation = self.state.workers[worker_id].incarnation
                kind = m.DrainWorker if what == "drain" else m.WorkerLeft
                return kind("p", worker_id, incarnation)
            case _:
                return None


def idle_beside_work(state: PoolRecord) -> list[tuple[str, str]]:
    """Return idle workers with the waiting requests that they could run."""
    holding = {grant.worker_id for grant in state.grants.values()}
    found: list[tuple[str, str]] = []
    for worker_id, entry in state.workers.items():
        if worker_id in holding:
            continue
        for name, request in state.waiting.items():
            need = need_of(state, request.agent_type, request.amounts)
            could = may_run(entry, need) and admits(entry, request.affinity)
            if could and fits(state, worker_id, need, request.affinity):
                found.append((worker_id, name))
    return found


@given(st.lists(st.lists(steps, min_size=1, max_size=4), max_size=25))
@settings(max_examples=150, deadline=None)
def test_no_worker_idles_beside_work_that_it_could_run(batches: list[list[Sequence[object]]]) -> None:
    """After every decision, also after hand-ons, and while a worker is held for a large request."""
    pool = Driven()
    for worker_id in WORKERS[:2]:
        joining = pool.message(("join", worker_id))
        assert joining is not None
        pool.tell(joining)
    for batch in batches:
        messages = [message for drawn in batch if (message := pool.message(drawn)) is not None]
        if messages:
            pool.tell(*messages)
        assert idle_beside_work(pool.state) == []


def test_a_better_rank_ends_hand_ons() -> None:
    """Nobody keeps a worker by handing on while others wait: a request calls all permits of others back."""
    pool = Driven()
    joining = pool.message(("join", "w1"))
    assert joining is not None
    pool.tell(joining)
    pool.tell(m.RequestAllocation("p", "own", Holder("e", "t", 1), "x", {"cpu_cores": 2.0}))
    assert pool.state.grants["own"].hands
    pool.tell(m.RequestAllocation("p", "other", Holder("f", "t", 1), "x", {"cpu_cores": 2.0}))
    assert not pool.state.grants["own"].hands


def test_a_worker_holds_nothing_unstarted() -> None:
    """What is dispatched to a worker is launched in the same decision: there is no queue to steal from."""
    state = WorkerRecord("w", incarnation=1)
    for number in range(20):
        start = m.StartTask("w", "e", 1, number + 1, f"a{number}", Task(f"t{number}", "x"), incarnation=1)
        _, effects = step(WORKER_BEHAVIOUR, state, start, 1)
        assert [type(effect).__name__ for _, effect in effects] == ["Launch"]
