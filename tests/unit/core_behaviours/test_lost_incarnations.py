"""Goal: a pool takes no incarnation back that it gave up, and ends none because of an older one.

Method: registrations and losses in an order that only delays can bring about.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.behaviour import Effect, Send, step
from talka_core.history import FOLDS, packed, unpacked
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.state import LOST_KEPT
from talka_core.worker import WORKER_BEHAVIOUR, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.subjects import POOL


def _tell(state: PoolRecord, message: Any) -> list[Effect]:
    return [effect for _, effect in step(RESOURCE, state, message, 1_000)[1]]


def _register(worker_id: str, incarnation: int) -> m.RegisterWorker:
    return m.RegisterWorker("p", worker_id, incarnation, ("work",), 8, {"cpu_cores": 4.0})


def _lose(state: PoolRecord, worker_id: str, incarnation: int) -> None:
    _tell(state, _register(worker_id, incarnation))
    _tell(state, m.WorkerLeft("p", worker_id, incarnation))


def test_late_registration_does_not_end_the_current_incarnation() -> None:
    """A registration of an older incarnation that arrives late is refused without ending the current one."""
    pool = RESOURCE.initial("p")
    _tell(pool, _register("w1", 2))
    answers: list[Any] = [x.message for x in _tell(pool, _register("w1", 1)) if isinstance(x, Send)]
    assert answers == [m.RejoinWorker("w1", 1)]
    worker = WorkerRecord("w1", offer=_register("w1", 0))
    for message in (m.Enlisted("w1", 2), m.AdmitWorker("w1", 2), *answers):
        step(WORKER_BEHAVIOUR, worker, message, 1_000)
    assert not worker.is_enlisting


@pytest.mark.parametrize("is_read_back", [False, True])
def test_the_longest_lost_incarnation_is_forgotten_first(*, is_read_back: bool) -> None:
    """Beyond what is kept, the worker that was just lost still has to rejoin, whatever its name is."""
    pool = RESOURCE.initial("p")
    for place in range(LOST_KEPT):
        _lose(pool, f"w{place:04}", 1)
    if is_read_back:
        fold = FOLDS[POOL]
        pool = unpacked(fold, packed(fold, pool))
    for worker_id in ("a-first", "z-last"):
        _lose(pool, worker_id, 1)
        _tell(pool, _register(worker_id, 1))
        assert not pool.workers
    assert len(pool.lost) == len(pool.lost_since) == LOST_KEPT
    assert "w0000" not in pool.lost
    assert "w0001" not in pool.lost
