"""Goal: a worker that leaves in peace costs no attempt.

Method: what the worker and the pool decide between the wish to stop and the end.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.players import Player
from talka_core.behaviour import Effect, Launch, Send, Stop, step
from talka_core.resource import RESOURCE
from talka_core.scheduler import SCHEDULER
from talka_core.scheduler.state import LOST_MAX
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.messages import Recipient
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Task, Workflow

OFFER = m.RegisterWorker("p", "w1", 0, ("work",), 8, {"cpu_cores": 4.0})


def _tell(state: WorkerRecord, message: Any) -> list[Effect]:
    return [effect for _, effect in step(WORKER_BEHAVIOUR, state, message, 1_000)[1]]


def _start(task_id: str) -> m.StartTask:
    return m.StartTask("w1", "e", 1, 1, f"e/{task_id}/1", Task(task_id, "work"))


def _draining() -> WorkerRecord:
    state = WorkerRecord("w1", offer=OFFER)
    _tell(state, m.Enlisted("w1", 1))
    _tell(state, m.AdmitWorker("w1", 1))
    _tell(state, m.Drain("w1"))
    return state


def test_draining_worker_runs_what_was_on_its_way() -> None:
    """An attempt that was dispatched before the pool knew of the drain is run, not given back."""
    assert Launch(_start("a")) in _tell(_draining(), _start("a"))


def test_worker_that_hands_back_runs_nothing_more() -> None:
    """Once what runs is handed back, what still comes is reported as never run."""
    state = _draining()
    _tell(state, _start("a"))
    assert Stop("e", "a", 1) in _tell(state, m.Drain("w1", hand_back=True))
    effects = _tell(state, _start("b"))
    reports = [x.message for x in effects if isinstance(x, Send)]
    assert [(r.outcome, r.started_at) for r in reports if isinstance(r, m.AttemptFinished)] == [
        (m.Outcome.LOST, 0)
    ]
    assert len(effects) == 1


def test_pool_calls_permits_on_a_draining_worker_back() -> None:
    """What may be handed on at a draining worker no longer may; elsewhere it still may."""
    pool = RESOURCE.initial("p")
    for worker_id in ("w1", "w2"):
        step(RESOURCE, pool, m.RegisterWorker("p", worker_id, 1, ("work",), 1, {}), 0)
    for task_id in ("a", "b"):
        request = m.RequestAllocation("p", f"e/{task_id}/1", Holder("e", task_id, 1), "work", {}, (0.0,))
        step(RESOURCE, pool, request, 0)
    effects = step(RESOURCE, pool, m.DrainWorker("p", "w1", 1), 0)[1]
    withdrawn = [x.message for _, x in effects if isinstance(x, Send)]
    hands = {grant.worker_id: bool(grant.hands) for grant in pool.grants.values()}
    assert hands == {"w1": False, "w2": True}
    assert [type(message) for message in withdrawn] == [m.ConfirmDrain, m.WithdrawPermit]


def _owed(state: WorkerRecord) -> list[Any]:
    return [x.message for x in WORKER_BEHAVIOUR.resume(state) if isinstance(x, Send)]


def test_drain_is_owed_until_the_pool_has_recorded_it() -> None:
    """The wish to be granted nothing is repeated until the pool's confirmation arrives."""
    state = _draining()
    assert _owed(state) == [m.DrainWorker("p", "w1", 1)]
    _tell(state, m.ConfirmDrain("w1", 1))
    assert not _owed(state)


def test_pool_confirms_a_drain_again() -> None:
    """A repeated drain, also of an incarnation that is gone, is confirmed like the first."""
    pool = RESOURCE.initial("p")
    step(RESOURCE, pool, m.RegisterWorker("p", "w1", 1, ("work",), 1, {}), 0)
    for message in (m.DrainWorker("p", "w1", 1), m.DrainWorker("p", "w1", 1), m.DrainWorker("p", "w2", 1)):
        effects = step(RESOURCE, pool, message, 0)[1]
        assert [x.message for _, x in effects if isinstance(x, Send)] == [
            m.ConfirmDrain(message.worker_id, message.incarnation)
        ]


def test_worker_that_drains_while_it_enlists_is_granted_nothing() -> None:
    """An incarnation that begins after the wish to stop joins the pool as draining."""
    player = Player(Recipient.WORKER, "w1", WorkerRecord("w1", offer=OFFER))
    for message in (m.Enlisted("w1", 1), m.AdmitWorker("w1", 1), m.RejoinWorker("w1", 1), m.Drain("w1")):
        player.take(message, 1_000, None)
    effects = player.take(m.Enlisted("w1", 2), 1_000, None)
    pool = RESOURCE.initial("p")
    messages: list[Any] = [x.message for x in effects if isinstance(x, Send)]
    for message in messages:
        step(RESOURCE, pool, message, 0)
    assert pool.workers["w1"].incarnation == 2
    request = m.RequestAllocation("p", "e/a/1", Holder("e", "a", 1), "work", {}, (0.0,))
    step(RESOURCE, pool, request, 0)
    assert not pool.grants


@pytest.mark.parametrize("at", range(4))
def test_drain_is_owed_at_whatever_moment_it_comes(at: int) -> None:
    """Wherever a drain comes in a worker's life, what is owed is what was asked and not settled (B1)."""
    life: list[Any] = [
        m.Enlisted("w1", 1),
        m.AdmitWorker("w1", 1),
        m.Enlisted("w1", 2),
        m.AdmitWorker("w1", 2),
        m.ConfirmDrain("w1", 2),
    ]
    life.insert(at, m.Drain("w1"))
    player = Player(Recipient.WORKER, "w1", WorkerRecord("w1", offer=OFFER))
    for message in life[:-1]:
        player.take(message, 1_000, None)
    assert _owed(player.state) == [m.DrainWorker("p", "w1", 2)]
    player.take(life[-1], 1_000, None)
    assert not _owed(player.state)


def test_attempts_that_are_handed_back_never_fail_a_task() -> None:
    """However often a task's attempt is handed back by a worker that stops, it is run again."""
    state = SCHEDULER.initial("e")
    step(SCHEDULER, state, m.StartExecution("e", Workflow("w", "w", (Task("a", "work"),))), 0)
    for attempt in range(1, LOST_MAX + 4):
        allocation_id, start = f"e/a/{attempt}", m.StartTask("w1", "e", attempt, 1, "", Task("a", "work"))
        step(SCHEDULER, state, m.GrantAllocation("e", "a", attempt, allocation_id, "w1", attempt), 0)
        worker = _draining()
        _tell(worker, m.Drain("w1", hand_back=True))
        reports: list[Any] = [x.message for x in _tell(worker, start) if isinstance(x, Send)]
        for report in reports:
            step(SCHEDULER, state, report, 0)
    assert state.tasks["a"].status is TaskStatus.QUEUED
    assert state.tasks["a"].attempt == LOST_MAX + 4
