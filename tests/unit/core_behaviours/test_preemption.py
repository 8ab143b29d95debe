"""Goal: a threatened deadline goes first, and lower ranks make way for it that may be preempted.

Method: the pool alone for who makes way; the closed model, in which workers stop, for the whole way.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.invariants import check_pool
from talka_chaos.model import Model
from talka_core.behaviour import Send, SetTimer, step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.preemption import NOTICE_MS
from talka_core.scheduler.terms import PREEMPTIONS_MAX
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import Holder, Terms
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow, WorkflowConfig

LATER = 1_000 + 10_000
CORE = ResourceRequirements(cpu_cores=1.0)


class Pool:
    """A pool with workers of four cores, and a clock."""

    def __init__(self, workers: int = 1) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.now = 1_000
        self.events: list[Any] = []
        self.effects: list[Any] = []
        for number in range(workers):
            offer = m.RegisterWorker("p", f"w{number}", 1, ("work",), 9, {"cpu_cores": 4.0})
            self.tell(offer)

    def tell(self, *messages: Any) -> None:
        """Take messages that arrive together."""
        for _, events, effects in step_batch(RESOURCE, self.state, messages, self.now):
            self.events += events
            self.effects += [effect for _, effect in effects]
        check_pool(self.state)

    def ask(self, name: str, cores: float, rank: float, **terms: Any) -> None:
        """Ask for cores."""
        about = (Holder(name, "t", 1), "work", {"cpu_cores": cores}, (rank, 0.0, 0.0))
        self.tell(m.RequestAllocation("p", name, *about, terms=Terms(**terms)))

    def release(self, name: str) -> None:
        """Give an allocation back."""
        self.tell(m.ReleaseAllocation("p", name, Holder(name, "t", 1)))

    def at(self, now: int, name: str) -> None:
        """Let the time come at which a request threatens its deadline."""
        self.now = now
        self.tell(m.TimerFired("p", f"threat/{name}"))

    @property
    def victims(self) -> list[str]:
        """Return what had to make way."""
        return [event.allocation_id for event in self.events if isinstance(event, e.AllocationPreempted)]


def test_lower_rank_makes_way_when_the_deadline_is_threatened_and_no_earlier() -> None:
    """The victim holds what it has until it gives it back; then the other one has it at once."""
    pool = Pool()
    pool.ask("low", 4.0, -50.0, is_preemptible=True)
    pool.ask("due", 4.0, -50.0, start_by=LATER)
    assert SetTimer("p", "threat/due", LATER - NOTICE_MS) in pool.effects
    assert not pool.victims
    pool.at(LATER - NOTICE_MS, "due")
    assert pool.victims == ["low"]
    sent = [effect.message for effect in pool.effects if isinstance(effect, Send)]
    told = next(message for message in sent if isinstance(message, m.PreemptAllocation))
    assert (told.execution_id, told.by) == ("low", "due")
    assert "within 2.0 s to meet its deadline" in told.reason
    assert any(isinstance(message, m.WarnOfDeadline) for message in sent)
    assert set(pool.state.grants) == {"low"}
    pool.release("low")
    assert set(pool.state.grants) == {"due"}


def test_what_may_not_be_preempted_stays() -> None:
    """Without preemptible work a deadline goes first in the queue, and that is all."""
    pool = Pool()
    pool.ask("low", 4.0, -50.0)
    pool.ask("other", 4.0, -60.0)
    pool.ask("due", 4.0, -50.0, start_by=LATER)
    pool.at(LATER, "due")
    assert not pool.victims
    pool.release("low")
    assert "due" in pool.state.grants


def test_what_ranks_as_high_is_not_preempted() -> None:
    """A deadline is worth the whole range of priorities, and no more."""
    pool = Pool()
    pool.ask("equal", 4.0, -150.0, is_preemptible=True)
    pool.ask("due", 4.0, -50.0, start_by=LATER)
    pool.at(LATER, "due")
    assert not pool.victims


def test_fewest_victims_of_the_lowest_rank_make_way() -> None:
    """One that is large enough goes rather than two; of two alike the lower rank."""
    pool = Pool(workers=2)
    for name, cores, rank in (("a", 2.0, -10.0), ("b", 2.0, -20.0), ("c", 2.0, -5.0), ("d", 2.0, -30.0)):
        pool.ask(name, cores, rank, is_preemptible=True)
    pool.ask("due", 2.0, -50.0, start_by=1)
    assert pool.victims == ["c"]


def test_what_is_freed_for_one_goes_to_no_other() -> None:
    """Meanwhile nobody takes a part of what makes way, and a second deadline has others make way."""
    pool = Pool()
    pool.ask("low", 3.0, -50.0, is_preemptible=True)
    pool.ask("due", 4.0, -50.0, start_by=1)
    assert pool.victims == ["low"]
    pool.ask("small", 1.0, -50.0)
    assert "small" not in pool.state.grants
    pool.ask("due too", 1.0, -50.0, start_by=1)
    assert pool.victims == ["low"]
    pool.release("low")
    assert set(pool.state.grants) == {"due"}


def test_preemptible_allocation_is_never_handed_on() -> None:
    """A permit would pass it to a task that may be none that can be stopped."""
    pool = Pool()
    pool.ask("low", 1.0, -50.0, is_preemptible=True)
    assert pool.state.grants["low"].hands == 0


asked = st.tuples(
    st.sampled_from((1.0, 2.0, 3.0, 4.0)),
    st.integers(-100, 0),
    st.booleans(),
    st.one_of(st.just(0), st.integers(1, 20_000)),
)


@given(st.lists(asked, max_size=12), st.lists(st.integers(0, 11), max_size=20), st.integers(1, 2))
def test_whatever_is_asked(requests: list[Any], frees: list[int], workers: int) -> None:
    """Nothing exceeds its worker, nobody makes way for an equal rank or twice, and everybody has a turn."""
    pool = Pool(workers)
    ranks: dict[str, float] = {}
    for number, (cores, rank, is_preemptible, start_by) in enumerate(requests):
        pool.ask(f"e{number}", cores, float(rank), is_preemptible=is_preemptible, start_by=start_by)
    for number in frees:
        pool.now += 1_500
        pool.tell(m.Advance("p"))
        pool.release(f"e{number}")
    while pool.state.grants:
        pool.release(next(iter(pool.state.grants)))
    assert not pool.state.waiting
    for event in pool.events:
        match event:
            case e.AllocationQueued() | e.RequestPromoted():
                ranks[event.allocation_id] = event.rank[0]
            case e.AllocationGranted():
                ranks[event.allocation_id] = ranks.get(
                    event.allocation_id, event.rank[0] if event.rank else 0.0
                )
            case e.AllocationPreempted():
                assert requests[int(event.allocation_id[1:])][2]
                assert ranks[event.by] < ranks[event.allocation_id]
            case _:
                pass
    assert len(pool.victims) == len(set(pool.victims))
    if not any(is_preemptible for _, _, is_preemptible, _ in requests):
        assert not pool.victims


def _model(*, is_preemptible: bool = True) -> Model:
    """Return a preemptible task that has the only core, and one that is due at once."""
    model = Model({"w1": 1.0})
    low = Task("a", AGENT_TYPE, resources=CORE, is_preemptible=is_preemptible)
    model.submit(Workflow("low", "low", (low,)))
    model.deliver_all()
    model.begin(next(iter(model.running)))
    model.deliver_all()
    return model


def _due(model: Model, name: str = "due") -> None:
    _submit_due(model, name)
    model.deliver_all()


def _submit_due(model: Model, name: str = "due") -> None:
    config = WorkflowConfig(strategy=Strategy.DEADLINE, deadline=2.0)
    task = Task("b", AGENT_TYPE, resources=CORE, estimated_seconds=1.0)
    model.submit(Workflow(name, name, (task,), config=config))


def _state(model: Model, execution_id: str) -> Any:
    return model.players[Recipient.SCHEDULER, execution_id].state


def test_preempted_attempt_stops_and_begins_again() -> None:
    """It is no failure and no loss, and its next attempt is given what it saved."""
    model = _model()
    run = next(iter(model.running))
    model.save(run, 1, {"page": 7})
    model.deliver_all()
    _due(model)
    low = _state(model, "low").tasks["a"]
    assert low.is_preempted
    assert low.allocation_id
    assert "execution due ranks higher" in low.preempted
    assert _state(model, "due").threatened == e.DeadlineThreatened(
        "b", _state(model, "due").tasks["b"].start_by
    )
    assert any("Deadline threatened: task 'b'" in alert for alert in model.alerts)
    model.end(run, Outcome.CANCELLED)
    model.deliver_all()
    assert (low.status, low.failures, low.lost, low.preemptions) == (TaskStatus.QUEUED, 0, 0, 1)
    assert _state(model, "due").tasks["b"].status is TaskStatus.SCHEDULED
    model.finish()
    assert _state(model, "low").status is ExecutionState.SUCCEEDED
    again = next(start for run, start in model.starts.items() if run[1:] == ("low", "a", 2))
    assert again.checkpoint is not None
    assert bytes(again.checkpoint.data) == b'{"page":7}'


def test_one_that_ends_first_has_ended() -> None:
    """An attempt that succeeds before it could be stopped has succeeded."""
    model = _model()
    run = next(iter(model.running))
    _submit_due(model)
    while not _state(model, "low").tasks["a"].is_preempted:
        model.deliver(0)
    model.end(run, Outcome.SUCCEEDED)
    model.finish()
    assert _state(model, "low").tasks["a"].attempt == 1
    assert _state(model, "due").status is ExecutionState.SUCCEEDED


def test_what_is_not_declared_is_never_preempted() -> None:
    """A task says itself that it may be stopped."""
    model = _model(is_preemptible=False)
    _due(model)
    assert not _state(model, "low").tasks["a"].is_preempted
    model.finish()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Task("a", AGENT_TYPE, is_preemptible=True, is_irreversible=True), "irreversible"),
        (Task("a", AGENT_TYPE, is_preemptible=True, gang="g"), "in the gang 'g'"),
        (Task("a", "wait", payload={"seconds": 1}, is_preemptible=True), "no worker runs"),
    ],
)
def test_what_can_never_be_preempted_is_refused(task: Task, said: str) -> None:
    """A declaration that makes no sense is named with its place."""
    with pytest.raises(WorkflowInvalidError, match=said) as caught:
        check(Workflow("w", "w", (task,)))
    assert (caught.value.code, caught.value.path) == ("bad_preemptible", ("tasks", 0, "preemptible"))


@pytest.mark.parametrize("is_granted", [True, False])
def test_grant_that_nobody_has_heard_of_makes_way(*, is_granted: bool) -> None:
    """What was granted and preempted before its scheduler knew is withdrawn and asked for again."""
    model = Model({"w1": 1.0})
    model.submit(Workflow("low", "low", (Task("a", AGENT_TYPE, resources=CORE, is_preemptible=True),)))
    model.deliver_all() if is_granted else _lose_grants(model)
    _due(model)
    record = _state(model, "low").tasks["a"]
    assert (record.is_preempted, record.status is TaskStatus.QUEUED) == (is_granted, not is_granted)
    assert record.attempt == (1 if is_granted else 2)
    model.finish()


def _lose_grants(model: Model) -> None:
    """Deliver everything but grants."""
    while model.soup:
        if isinstance(model.soup[0][1], m.GrantAllocation):
            model.drop(0)
        else:
            model.deliver(0)


def test_nothing_is_preempted_again_and_again() -> None:
    """After some times the task runs to its end, however many deadlines are threatened."""
    model = _model()
    for number in range(PREEMPTIONS_MAX):
        _due(model, f"due{number}")
        low = next(run for run in model.running if run[1] == "low")
        model.end(low, Outcome.CANCELLED)
        model.deliver_all()
        due = next(run for run in model.running if run[1] != "low")
        model.begin(due)
        model.end(due, Outcome.SUCCEEDED)
        model.deliver_all()
        model.begin(next(run for run in model.running if run[1] == "low"))
        model.deliver_all()
    _due(model, "last")
    record = _state(model, "low").tasks["a"]
    assert record.preemptions == PREEMPTIONS_MAX
    assert not record.is_preempted
    model.finish()
