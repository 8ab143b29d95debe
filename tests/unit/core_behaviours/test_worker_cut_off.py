"""A worker that the pool does not hear stops what holds pool-wide amounts, and nothing else."""

from __future__ import annotations

from talka_core.behaviour import Launch, Stop, step
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.messages import Outcome
from talka_protocols.workflow import Task


def worker() -> WorkerRecord:
    """Return an admitted worker that runs ``plain`` and ``licensed``."""
    offer = m.RegisterWorker("p", "w", 0, ("work",), 4)
    state = WorkerRecord("w", offer=offer)
    for message in (
        m.Enlisted("w", 1),
        m.AdmitWorker("w", 1),
        start("plain"),
        start("licensed", shared=True),
    ):
        step(WORKER_BEHAVIOUR, state, message, 1)
    return state


def start(task_id: str, attempt: int = 1, *, shared: bool = False) -> m.StartTask:
    """Return the order to run an attempt."""
    return m.StartTask(
        "w", "e", attempt, 1, f"e/{task_id}/{attempt}", Task(task_id, "work"), is_shared=shared
    )


def test_only_pool_wide_amounts_are_stopped() -> None:
    """Losing contact stops the attempt that holds a licence; it is reported as lost, with the reason."""
    state = worker()
    _, effects = step(WORKER_BEHAVIOUR, state, m.ContactLost("w"), 2)
    assert [effect for _, effect in effects] == [Stop("e", "licensed", 1)]
    assert step(WORKER_BEHAVIOUR, state, m.ContactLost("w"), 2) == ([], [])
    ended = m.AttemptFinished("e", "licensed", 1, "w", 1, 2, Outcome.CANCELLED)
    step(WORKER_BEHAVIOUR, state, m.AttemptEnded("w", ended), 3)
    report = state.attempts["e", "licensed"].report
    assert report is not None
    assert report.error is not None
    assert (report.outcome, report.error.code) == (Outcome.LOST, "contact_lost")


def test_nothing_of_the_kind_begins_while_cut_off() -> None:
    """An order that needs a licence waits, unanswered, until the pool hears us and it is sent again."""
    state = worker()
    step(WORKER_BEHAVIOUR, state, m.ContactLost("w"), 2)
    _, refused = step(WORKER_BEHAVIOUR, state, start("licensed", 2, shared=True), 3)
    _, accepted = step(WORKER_BEHAVIOUR, state, start("plain", 2), 3)
    step(WORKER_BEHAVIOUR, state, m.ContactMade("w"), 4)
    _, again = step(WORKER_BEHAVIOUR, state, start("licensed", 2, shared=True), 5)
    launched = [
        [effect.start.task.id for _, effect in effects if isinstance(effect, Launch)]
        for effects in (refused, accepted, again)
    ]
    assert launched == [[], ["plain"], ["licensed"]]
    assert all(isinstance(effect, Stop) for _, effect in refused), "nothing is reported"
