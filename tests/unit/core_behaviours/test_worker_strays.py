"""Goal: a worker loses sight of nothing that runs on it.

Method: each is a short sequence that generated histories once failed on.
"""

from __future__ import annotations

from typing import Any

from talka_chaos.players import Player
from talka_core.behaviour import Effect, Enlist, Send, Stop, step
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.messages import Recipient
from talka_protocols.workflow import Task

OFFER = m.RegisterWorker("p", "w1", 0, ("work",), 8, {"cpu_cores": 4.0})


def _tell(state: WorkerRecord, message: Any) -> list[Effect]:
    return [effect for _, effect in step(WORKER_BEHAVIOUR, state, message, 1_000)[1]]


def _start(attempt: int) -> m.StartTask:
    return m.StartTask("w1", "e", attempt, attempt, f"e/a/{attempt}", Task("a", "work"))


def _worker() -> WorkerRecord:
    state = WorkerRecord("w1", offer=OFFER)
    _tell(state, m.Enlisted("w1", 1))
    _tell(state, m.AdmitWorker("w1", 1))
    return state


def test_cancelling_a_later_attempt_stops_the_earlier_one() -> None:
    """A cancellation that overtakes its start still stops the earlier attempt that it replaces."""
    state = _worker()
    _tell(state, _start(1))
    assert Stop("e", "a", 1) in _tell(state, m.CancelTask("w1", "e", "a", 2))


def test_stopping_attempt_is_not_stopped_twice() -> None:
    """A newer start does not stop again what is being stopped already."""
    state = _worker()
    _tell(state, _start(1))
    _tell(state, m.CancelTask("w1", "e", "a", 1))
    assert not [effect for effect in _tell(state, _start(2)) if isinstance(effect, Stop)]


def _ended(attempt: int) -> m.AttemptEnded:
    report = m.AttemptFinished("e", "a", attempt, "w1", 1_000, 1_000, m.Outcome.CANCELLED)
    return m.AttemptEnded("w1", report)


def test_next_incarnation_waits_until_the_old_one_has_stopped() -> None:
    """A worker that must rejoin asks for its next incarnation only when nothing of the old one runs."""
    player = Player(Recipient.WORKER, "w1", _worker())
    effects = [
        effect
        for message in (_start(1), m.CancelTask("w1", "e", "a", 2), m.RejoinWorker("w1", 1))
        for effect in player.take(message, 1_000, None)
    ]
    assert Stop("e", "a", 1) in effects
    assert Enlist("w1") not in [*effects, *WORKER_BEHAVIOUR.resume(player.state)]
    assert Enlist("w1") in player.take(_ended(1), 1_000, None)
    assert Enlist("w1") in WORKER_BEHAVIOUR.resume(player.state)


def test_idle_worker_rejoins_at_once() -> None:
    """A worker on which nothing runs asks for its next incarnation once, as soon as it is told to rejoin."""
    player = Player(Recipient.WORKER, "w1", _worker())
    asked = [x for _ in range(2) for x in player.take(m.RejoinWorker("w1", 1), 1_000, None)]
    assert asked == [Enlist("w1")]


def test_every_incarnation_asks_to_be_admitted() -> None:
    """A further incarnation owes its registration, and hands back what the one before it ran."""
    state = _worker()
    _tell(state, _start(1))
    assert Stop("e", "a", 1) in _tell(state, m.Enlisted("w1", 2))
    owed = [x.message for x in WORKER_BEHAVIOUR.resume(state) if isinstance(x, Send)]
    assert [message.incarnation for message in owed if isinstance(message, m.RegisterWorker)] == [2]


def test_repeated_cancellation_is_not_answered_with_a_start() -> None:
    """A repeated cancellation of what is being stopped calls for nothing, or both sides never rest."""
    state = _worker()
    _tell(state, _start(1))
    _tell(state, m.AttemptBegan("w1", "e", "a", 1, 1_000))
    _tell(state, m.CancelTask("w1", "e", "a", 1))
    assert not _tell(state, m.CancelTask("w1", "e", "a", 1))


def test_start_for_an_earlier_incarnation_is_given_back() -> None:
    """An attempt whose allocation stood on an earlier incarnation is reported lost and never runs."""
    state = _worker()
    late = m.StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "work"), incarnation=9)
    reports = [x.message for x in _tell(state, late) if isinstance(x, Send)]
    assert [r.outcome for r in reports if isinstance(r, m.AttemptFinished)] == [m.Outcome.LOST]
