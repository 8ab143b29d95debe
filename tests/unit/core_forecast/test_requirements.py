"""Goal: what tasks of a kind should ask for follows from what all of them used; so do forecasts."""

from __future__ import annotations

import pytest
from tests.replay.scenarios import plain
from tests.replay.scenarios.running import deliver_all

from talka_core.forecast import Requirement, requirements, run_of
from talka_core.forecast.requirements import percentile
from talka_core.scheduler import ExecutionRecord
from talka_core.simulation import recorded
from talka_protocols.events import Overuse, TaskUsageMeasured, Usage
from talka_protocols.messages import Recipient


def _state(memory_mb: float | None = None, *, is_over: bool = False) -> ExecutionRecord:
    state: ExecutionRecord = plain.usage().players[Recipient.SCHEDULER, "golden"].state
    if memory_mb is not None:
        over = (Overuse("memory_mb", 64.0, memory_mb),) if is_over else ()
        state.usage["hog"] = TaskUsageMeasured("hog", 1, Usage(1_000, 300, memory_mb), over)
    return state


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([7.0], 7.0),
        ([float(n) for n in range(19)], 18.0),
        ([float(n) for n in range(1, 101)], 95.0),
    ],
)
def test_percentile(values: list[float], expected: float | None) -> None:
    """The largest as long as few are known, then all but one of twenty."""
    assert percentile(values) == expected


def test_one_hog_among_many_does_not_decide() -> None:
    """Of forty executions one used ten times as much: it is overuse, the proposal is for the others."""
    states = [_state(100.0) for _ in range(39)] + [_state(1_000.0, is_over=True)]
    (found,) = requirements(states)
    assert isinstance(found, Requirement)
    assert (found.tasks, found.overused, found.memory_mb) == (40, 1, 100.0)
    assert found.proposed_memory_mb == 128.0, "a quarter more, in steps of 16 MiB"
    assert (found.cpu_cores, found.proposed_cpu_cores, found.asked_cpu_cores) == (0.3, 0.5, 0.5)


def test_nothing_measured_is_no_proposal() -> None:
    """What was too short, or could not be seen, says nothing."""
    state = _state()
    state.usage["hog"] = TaskUsageMeasured("hog", 1, Usage(100, 90))
    (found,) = requirements([state])
    assert (found.proposed_cpu_cores, found.proposed_memory_mb) == (None, None)
    assert requirements([]) == ()


def test_a_recorded_run_knows_what_its_tasks_used() -> None:
    """What executions of ours used is what forecasts of memory, and of how run times vary, rest on."""
    model = plain.usage()
    deliver_all(model)
    scheduler, pool = (
        model.players[Recipient.SCHEDULER, "golden"],
        model.players[Recipient.RESOURCE, "default"],
    )
    history = [(model.now_ms, event) for event in pool.events()]
    run = run_of(scheduler.state, recorded(scheduler.state, scheduler.events(), history, model.now_ms))
    assert (run.memory_mb, run.busy) == ({"hog": 90.0}, {"hog": 0.95})
