"""Goal: a worker that leaves in peace costs no attempt.

Method: what the worker and the pool decide between the wish to stop and the end.
"""

from __future__ import annotations

from typing import Any

from talka_core.behaviour import Effect, Launch, Send, Stop, step
from talka_core.resource import RESOURCE
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.workflow import Task

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
    assert [type(message) for message in withdrawn] == [m.WithdrawPermit]
