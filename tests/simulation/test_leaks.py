"""Goal: the auditor finds every planted leak, and calls nothing a leak that comes from healthy actors.

Method: histories of simulated worlds under faults, as they are and tampered with in one place.
"""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talka_chaos.leaks import LEAKS, History, Leak, audited, history_of
from talka_chaos.sim import Simulation
from talka_chaos.virtual_loop import run_virtually
from talka_core.auditing import Auditor
from talka_protocols.commit import Commit, Decision

SEEDS = range(12)


@cache
def history(seed: int) -> History:
    """Return what a world at rest has recorded."""
    simulation = Simulation(seed)
    report = run_virtually(simulation.run())
    assert report.is_healthy, report.findings
    return history_of(simulation.world)


@pytest.mark.parametrize("seed", SEEDS)
def test_healthy_histories_are_clean(seed: int) -> None:
    """Crashes, lost messages and late grants leave nothing that looks like a leak."""
    recorded = history(seed)
    found, summary = audited(recorded)
    assert found == []
    assert summary.live == 0, "what is over is forgotten, so memory does not grow with the log"
    assert len(recorded) > 50


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: str(leak.__name__))
def test_every_planted_leak_is_found(leak: Leak) -> None:
    """In each history that has a place for it the leak is found, under its own name."""
    tampered = [found for seed in SEEDS if (found := leak(history(seed))) is not None]
    assert tampered, "no world has a place for it"
    for one in tampered:
        assert LEAKS[leak] in {each.kind for each in audited(one)[0]}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 2**32), st.floats(0.0, 0.9))
def test_no_history_is_too_broken_to_be_audited(seed: int, order: int, dropped: float) -> None:
    """With events missing and in any order the auditor reports, and never gives up."""
    random = Random(order)
    left = [entry for entry in history(seed) if random.random() >= dropped]
    random.shuffle(left)
    auditor = Auditor()
    for number, entry in enumerate(left):
        commit = Commit(number + 1, entry.at, 0, (Decision("scrambled", (entry.event,)),))
        auditor.take(entry.log, number, commit)
    auditor.finish(is_at_rest=True)
    assert auditor.summary.events == len(left)
