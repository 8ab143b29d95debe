"""Gangs are granted as a whole or not at all, and two of them never keep each other waiting."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core_behaviours.test_tenants import Shared, request

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.behaviour import step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.backfill import PATIENCE_MS
from talka_core.resource.shared import are_free
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import MapOver, Rate
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow, WorkflowConfig


class Ganged(Shared):
    """A pool that is asked for gangs."""

    def __init__(self, capacity: dict[str, float], workers: int = 1, **settings: Any) -> None:
        self.gangs: list[e.GangGranted] = []
        self.now = 1_000
        super().__init__(capacity, workers, **settings)

    def tell(self, *messages: Any) -> None:
        """Take messages that arrive together, and count the grants of gangs."""
        for _, events, _ in step_batch(RESOURCE, self.state, messages, self.now):
            for event in events:
                if isinstance(event, e.GangGranted):
                    self.gangs.append(event)
                    self.granted += event.grants
                elif isinstance(event, e.AllocationGranted):
                    self.granted.append(event)


def members(gang: str, *cores: float, rank: float = 0.0, **terms: Any) -> list[m.RequestAllocation]:
    """Return the requests of a gang, which is its own execution."""
    count = len(cores)
    return [
        request(f"{gang}{n}", "t", {"cpu_cores": c}, rank, of=gang, gang=gang, members=count, **terms)
        for n, c in enumerate(cores)
    ]


def test_a_gang_is_one_decision_on_several_workers() -> None:
    """Three members of two cores each go to three workers of three, in one event."""
    pool = Ganged({"cpu_cores": 3.0}, workers=3)
    pool.tell(*members("g", 2.0, 2.0, 2.0))
    (granted,) = pool.gangs
    assert {grant.worker_id for grant in granted.grants} == {"w0", "w1", "w2"}
    assert len({grant.fence for grant in granted.grants}) == 3
    assert not any(grant.hands for grant in granted.grants)


def test_a_gang_that_does_not_fit_holds_nothing() -> None:
    """Two gangs of three want four cores: the first has three of them, the second none."""
    pool = Ganged({"cpu_cores": 4.0})
    pool.tell(*members("g", 1.0, 1.0, 1.0), *members("h", 1.0, 1.0, 1.0, rank=1.0))
    assert [granted.gang for granted in pool.gangs] == ["g"]
    assert len(pool.state.waiting) == 3
    for granted in list(pool.granted):
        pool.release(granted)
    assert [granted.gang for granted in pool.gangs] == ["g", "h"]


def test_members_that_come_one_by_one_wait_for_each_other() -> None:
    """What has not asked yet is waited for, and what asks twice counts once."""
    pool = Ganged({"cpu_cores": 4.0})
    first, second = members("g", 1.0, 1.0)
    pool.tell(first)
    pool.tell(first)
    assert not pool.granted
    pool.tell(second)
    assert len(pool.gangs[0].grants) == 2


def test_members_are_put_where_all_of_them_fit() -> None:
    """The smallest first on the emptiest worker would leave no room for the largest."""
    pool = Ganged({"cpu_cores": 4.0}, workers=2)
    pool.tell(*members("g", 1.0, 3.0, 1.0, 3.0))
    assert len(pool.gangs) == 1
    pool.tell(*(m.ReleaseAllocation("p", g.allocation_id, g.holder) for g in pool.granted))
    pool.tell(*members("h", 3.0, 2.0, 2.0, 1.0))
    assert len(pool.gangs) == 2


def test_quota_and_limits_count_for_the_whole_gang() -> None:
    """Two members of one core do not fit a quota of one and a half."""
    pool = Ganged({"cpu_cores": 4.0}, quotas={"t": {"cpu_cores": 1.5}})
    pool.tell(*members("g", 1.0, 1.0))
    assert not pool.granted
    pool.tell(m.ConfigurePool("p", quotas={"t": {"cpu_cores": 2.0}}))
    assert len(pool.gangs) == 1


def test_pool_wide_amounts_count_for_the_whole_gang() -> None:
    """Two licences are needed at once, and one is there."""
    pool = Ganged({"cpu_cores": 4.0}, shared={"licence": 1.0})
    asked = [request(f"g{n}", "t", {"licence": 1.0}, of="g", gang="g", members=2) for n in range(2)]
    pool.tell(*asked)
    assert not pool.granted


@pytest.mark.parametrize("is_estimated", [True, False])
def test_a_gang_does_not_starve(is_estimated: bool) -> None:
    """Small tasks that always leave too little free do not keep a gang out for ever."""
    pool, random = Ganged({"cpu_cores": 2.0}, workers=2), Random(3)
    lasting = 1_000 if is_estimated else 0
    ends: list[tuple[int, str]] = []
    asked_at = 0
    for number in range(600):
        pool.now += 200
        before = len(pool.granted)
        for at, name in [end for end in ends if end[0] <= pool.now]:
            ends.remove((at, name))
            holder = next(g.holder for g in pool.granted if g.allocation_id == name)
            pool.tell(m.ReleaseAllocation("p", name, holder))
        small = request(f"s{number}", "t", {"cpu_cores": 1.0}, 1.0, of=f"s{number}")
        pool.tell(m.RequestAllocation(*_fields(small, lasting)))
        if number == 20:
            pool.tell(*members("g", 2.0, 2.0))
            asked_at = pool.now
        ends += [(pool.now + random.randrange(500, 1_000), g.allocation_id) for g in pool.granted[before:]]
        if pool.gangs:
            assert pool.now - asked_at <= (3_000 if is_estimated else 2 * PATIENCE_MS)
            return
    pytest.fail("The gang was never granted.")


def _fields(asked: m.RequestAllocation, estimate_ms: int) -> tuple[Any, ...]:
    about = (asked.pool, asked.allocation_id, asked.holder, asked.agent_type, asked.amounts, asked.rank, "")
    return (*about, asked.affinity, estimate_ms, asked.terms)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_never_a_part_and_never_stuck(seed: int) -> None:
    """Whatever is asked for in whatever order: gangs are whole, and all of them run some time."""
    random = Random(seed)
    pool = Ganged({"cpu_cores": 4.0}, workers=2)
    asked = [
        one
        for n in range(random.randint(2, 6))
        for one in members(f"g{n}", *random.choices((0.5, 1.0, 2.0), k=random.randint(1, 4)))
    ]
    random.shuffle(asked)
    for one in asked:
        pool.tell(one)
    for _ in range(len(asked)):
        live = [g for g in pool.granted if g.allocation_id in pool.state.grants]
        if live:
            pool.release(random.choice(live))
    assert not pool.state.waiting
    assert {len(granted.grants) for granted in pool.gangs} <= {1, 2, 3, 4}
    for granted in pool.gangs:
        assert {grant.terms.members for grant in granted.grants} == {len(granted.grants)}


# --- the execution -------------------------------------------------------------------------------

CORE = ResourceRequirements(cpu_cores=1.0)


def ganged(*names: str, needs: dict[str, str] | None = None, **config: Any) -> Workflow:
    """Return a workflow whose tasks are one gang, but for what some of them need."""
    needs = needs or {}
    tasks = [
        Task(name, AGENT_TYPE, resources=CORE, retries=1, dependencies=tuple(needs.get(name, "")), gang="g")
        for name in names
    ]
    others = sorted(set(needs.values()) - set(names))
    tasks += [Task(name, AGENT_TYPE, resources=CORE) for name in others]
    return check(Workflow("x", "x", tuple(tasks), config=WorkflowConfig(**config)))


def begun(workflow: Workflow, cores: float = 4.0) -> Model:
    """Return a model that has done all that it can by itself."""
    model = Model({"w1": cores})
    model.submit(workflow)
    model.deliver_all()
    return model


def statuses(model: Model) -> dict[str, TaskStatus]:
    """Return where the tasks stand."""
    state = model.players[Recipient.SCHEDULER, "x"].state
    return {task_id: record.status for task_id, record in state.tasks.items()}


def finish(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Let the running attempt of a task end."""
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def test_a_ready_member_waits_until_the_others_are_ready() -> None:
    """Nothing is asked of the pool before."""
    model = begun(ganged("a", "b", needs={"b": "c"}))
    assert statuses(model) == {"a": TaskStatus.READY, "b": TaskStatus.PENDING, "c": TaskStatus.SCHEDULED}
    finish(model, "c")
    assert statuses(model)["a"] == statuses(model)["b"] == TaskStatus.SCHEDULED


def test_a_member_that_fails_waits_alone() -> None:
    """Its next attempt is asked for without the others, which run on."""
    model = begun(ganged("a", "b"))
    finish(model, "a", Outcome.FAILED)
    model.fire((Recipient.SCHEDULER, "x", "retry/a/1"))
    model.deliver_all()
    assert statuses(model) == {"a": TaskStatus.SCHEDULED, "b": TaskStatus.SCHEDULED}
    finish(model, "a")
    finish(model, "b")
    assert model.players[Recipient.SCHEDULER, "x"].state.status is ExecutionState.SUCCEEDED


def test_a_member_that_was_cancelled_is_waited_for_no_longer() -> None:
    """Two of three are left of a gang that never fitted, and fit."""
    model = begun(ganged("a", "b", "c"), cores=2.0)
    assert set(statuses(model).values()) == {TaskStatus.QUEUED}
    model.ask(m.CancelSingleTask("x", "r1", "b"))
    model.deliver_all()
    assert statuses(model) == {
        "a": TaskStatus.SCHEDULED,
        "b": TaskStatus.CANCELLED,
        "c": TaskStatus.SCHEDULED,
    }


def test_a_lost_worker_sends_each_member_on_alone() -> None:
    """They have had their resources together once."""
    model = begun(ganged("a", "b"))
    model.crash_worker("w1")
    model.deliver_all()
    assert statuses(model) == {"a": TaskStatus.SCHEDULED, "b": TaskStatus.SCHEDULED}


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        (lambda: ganged("a", "b", max_parallel=1), "max_parallel is 1"),
        (lambda: ganged("a", "b", limits={"cpu_cores": 1.5}), "asks for 2 of cpu_cores"),
        (lambda: ganged("a", "b", needs={"b": "a"}), "waits for another member"),
    ],
)
def test_what_can_never_be_granted_is_refused(workflow: Any, said: str) -> None:
    """The message names the gang and why."""
    with pytest.raises(WorkflowInvalidError, match=said) as refused:
        workflow()
    assert refused.value.code == "bad_gang"


def test_members_may_not_wait_through_others() -> None:
    """A chain over a task outside the gang is found as well; so is a map, and an approval."""
    chain = [Task(name, AGENT_TYPE, gang="" if name == "b" else "g") for name in "abc"]
    edges = (Dependency("a", "b"), Dependency("b", "c"))
    mapped = Task("a", AGENT_TYPE, gang="g", map=MapOver([1, 2]))
    asking = Task("a", "approval", payload={"question": "Go?"}, gang="g")
    for tasks, found in ((chain, edges), ((mapped, chain[2]), ()), ((asking, chain[2]), ())):
        with pytest.raises(WorkflowInvalidError) as refused:
            check(Workflow("x", "x", tuple(tasks), found))
        assert refused.value.code == "bad_gang"


def test_members_count_against_one_key_together() -> None:
    """However their limits differ: what could never be granted is refused, and none is exceeded."""
    slow, quick = Rate("r", 1, 2.0), Rate("r", 1, 0.5)
    tasks = tuple(Task(name, AGENT_TYPE, gang="g", rate=rate) for name, rate in (("a", slow), ("b", quick)))
    with pytest.raises(WorkflowInvalidError, match="2 of its members have the rate 'r', whose rate is 1"):
        check(Workflow("x", "x", tasks))
    state = PoolRecord("default")
    assert not are_free(state, [{"rate:r/1/2000": 1000}, {"rate:r/1/500": 1000}])
    assert are_free(state, [{"rate:r/2/2000": 1000}, {"rate:r/2/500": 1000}])
    assert not are_free(state, [{"key:k/2": 1000}, {"key:k/1": 1000}])


def test_a_request_that_came_again_too_late_does_not_wait_for_ever() -> None:
    """One member of a gang that has ended is asked for again by a late copy: the pool lets go of it."""
    pool = Ganged({"cpu_cores": 4.0})
    late = members("g", 1.0, 1.0)
    pool.tell(*late)
    for granted in list(pool.granted):
        pool.release(granted)
    pool.tell(late[1])
    assert list(pool.state.waiting) == [late[1].allocation_id]
    pool.tell(m.Advance("p"))
    assert not pool.state.waiting
    assert not pool.state.queues


def test_a_part_that_was_let_go_of_is_granted_when_all_of_it_is_asked_for() -> None:
    """Whoever still wants a gang asks for all of its members again, and then it is whole."""
    pool = Ganged({"cpu_cores": 4.0})
    wanted = members("g", 1.0, 1.0)
    pool.tell(wanted[0])
    pool.tell(m.Advance("p"))
    pool.tell(wanted[1])
    pool.tell(wanted[0])
    assert [granted.gang for granted in pool.gangs] == ["g"]
