"""Goal: an execution on record, simulated as it was, takes as long as it took."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.core_simulation.golden import HISTORIES, executions

from talka_chaos.branches import with_control_flow
from talka_chaos.graphs import random_workflow
from talka_core.builder import WorkflowBuilder
from talka_core.scheduler import ExecutionRecord
from talka_core.simulation import (
    Change,
    NothingRecordedError,
    Offer,
    Recorded,
    Staff,
    altered,
    hastened,
    recorded,
    simulate,
)
from talka_core.simulation.assumptions import assumed, real_milliseconds
from talka_core.simulation.recorded import quota_of, staff
from talka_core.simulation.world import EXECUTION_ID, World
from talka_protocols import messages as m
from talka_protocols.events import PoolConfigured, WorkerDraining, WorkerJoined, WorkerLost
from talka_protocols.messages import Recipient
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow

POOL = [
    (1, WorkerJoined("one", 1, ("work",), 256, {"cpu_cores": 2.0})),
    (1, WorkerJoined("two", 1, ("work",), 256, {"cpu_cores": 3.3})),
]


def again(found: Recorded) -> float:
    """Return the makespan of an execution that is simulated as it was."""
    followed = found.baseline or False
    return simulate(found.workflow, found.offers, found.shared, found.seconds, followed).makespan_s


def ran(workflow: Workflow, seconds: dict[str, float]) -> ExecutionRecord:
    """Return the state at the end of a run in which tasks took other times than was estimated."""
    simulated = assumed(workflow, seconds)
    world = World(simulated.config.pool, real_milliseconds(simulated, seconds))
    for _, joined in POOL:
        offer = Offer(joined.capacity, joined.slots, joined.agent_types)
        world.employ(joined.worker_id, offer, ())
    world.post(Recipient.PLANNER, m.SubmitWorkflow(EXECUTION_ID, simulated))
    return world.run()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.integers(0, 1_000_000),
    st.integers(1, 25),
    st.sampled_from(list(Strategy)),
    st.sampled_from([None, 1, 3]),
)
def test_what_was_simulated_is_the_same_again(
    seed: int, size: int, strategy: Strategy, max_parallel: int | None
) -> None:
    """Measured, and simulated with what was measured, a run takes exactly as long, task by task."""
    random = Random(seed)
    drawn = with_control_flow(random, random_workflow(random, "e", size))
    tasks = tuple(replace(task, start_timeout=None) for task in drawn.tasks)
    config = replace(drawn.config, strategy=strategy, max_parallel=max_parallel)
    seconds = {task.id: random.randint(0, 9000) / 1000 for task in tasks}
    state = ran(replace(drawn, tasks=tasks, config=config), seconds)
    assert state.status is ExecutionState.SUCCEEDED
    found = recorded(state, (), POOL, 0)
    assert found.run is not None
    assert again(found) == found.run.makespan_s >= found.run.lower_bound_s - 1e-9


def _all_golden() -> list[Any]:
    return [
        pytest.param(*execution, id=f"{path.stem}-{execution[0].execution_id}")
        for path in HISTORIES
        for execution in executions(path)
        if not execution[0].archived and execution[0].status is not ExecutionState.REJECTED
    ]


@pytest.mark.parametrize(("state", "events", "pool"), _all_golden())
def test_every_history_can_be_simulated(state: ExecutionRecord, events: list[Any], pool: list[Any]) -> None:
    """Maps, loops, forks, rollbacks: all can be asked about, and nothing takes longer than it took."""
    found = recorded(state, events, pool, state.accepted_at + 5_000)
    ids = {task.id for task in found.workflow.tasks}
    assert not any(state.tasks[task_id].undoes for task_id in ids)
    took = again(found)
    if state.status is ExecutionState.SUCCEEDED:
        assert found.run is not None
        assert took <= found.run.makespan_s


def _golden(name: str) -> Recorded:
    path = next(path for path in HISTORIES if path.stem == name)
    state, events, pool = next(executions(path))
    return recorded(state, events, pool, 0)


def test_items_of_a_map_are_tasks_that_the_map_waits_for() -> None:
    """The map takes no time of its own, and its items run no more at once than it allowed."""
    found = _golden("map_over_items")
    items = [task for task in found.workflow.tasks if "[" in task.id]
    assert items
    needs = {edge.to_task: edge.from_task for edge in found.workflow.dependencies}
    assert {task.id.partition("[")[0] for task in items} <= set(needs)


def test_rounds_of_a_loop_count_together() -> None:
    """A loop takes what all of its rounds took."""
    path = next(path for path in HISTORIES if path.stem == "loop_in_rounds")
    state, events, pool = next(executions(path))
    task_id = next(event.task_id for event in events if type(event).__name__ == "TaskIterated")
    with_rounds, last_only = recorded(state, events, pool, 0), recorded(state, (), pool, 0)
    assert with_rounds.seconds[task_id] >= last_only.seconds[task_id]


def test_workers_come_and_go_as_they_did() -> None:
    """Late workers are there later, those that left take nothing new, those that had gone are not there."""
    began = 100_000
    history: list[tuple[int, Any]] = [
        (1, PoolConfigured({"licence": 2.0})),
        (2, WorkerJoined("gone", 1, ("sleep",), 4, {})),
        (3, WorkerJoined("stays", 1, ("sleep",), 4, {"cpu_cores": 2.0}, {"sleep": 2})),
        (4, WorkerJoined("leaves", 7, ("sleep",), 4, {})),
        (5, WorkerLost("gone", 1)),
        (began + 1500, WorkerJoined("late", 1, ("python",), 1, {})),
        (began + 2000, WorkerDraining("leaves", 7)),
        (began + 2500, WorkerLost("leaves", 7)),
        (began + 9000, WorkerJoined("after", 1, ("sleep",), 4, {})),
    ]
    offers, shared = staff(history, began, began + 8000)
    assert shared == {"licence": 2.0}
    assert offers == (
        Offer({"cpu_cores": 2.0}, 4, ("sleep",), {"sleep": 2}),
        Offer({}, 4, ("sleep",), {}, 0.0, 2.0),
        Offer({}, 1, ("python",), {}, 1.5),
    )


def test_a_late_worker_is_waited_for() -> None:
    """What only a later worker can run begins when it has joined; nothing new goes to one that has left."""
    chain = WorkflowBuilder("chain")
    for name in ("first", "second"):
        chain.add_task(Task(name, "sleep", payload={"seconds": 2}))
    workflow = chain.add_dependency("first", "second").build()
    early, late = Offer({}, leaves_s=1.0), Offer({}, joins_s=5.0)
    run = simulate(workflow, [early, late])
    assert [(task.start_s, task.worker) for task in run.tasks.values()] == [(0.0, "w1"), (5.0, "w2")]


def test_the_quota_of_then_counts_unless_another_is_asked_about() -> None:
    """Two tasks of a core take turns within a quota of one core, and run side by side with two."""
    history = [
        (1, PoolConfigured(quotas={"t": {"cpu_cores": 1.0, "licence": 3.0}})),
        (9, PoolConfigured(quotas={"t": {"cpu_cores": 8.0}})),
    ]
    quota = quota_of(history, 5, "t")
    assert quota_of(history, 5, "other") == {}
    two = WorkflowBuilder("two")
    for name in ("one", "other"):
        two.add_task(
            Task(name, "sleep", payload={"seconds": 2}, resources=ResourceRequirements(cpu_cores=1.0))
        )
    found = Recorded(two.build(), {}, (Offer({"cpu_cores": 4.0}),), {}, None, quota=quota)
    took = [
        simulate(setting.workflow, setting.offers).makespan_s
        for setting in (altered(found, change, {}) for change in (Change(), Change(quota={"cpu_cores": 2.0})))
    ]
    assert took == [4.0, 2.0]


def test_on_another_pool_its_workers_amounts_and_quotas_count() -> None:
    """Nothing of the pool that it had is left: neither its one worker and licence, nor the tenant's quota."""
    needs = ResourceRequirements(cpu_cores=1.0, custom_resources={"licence": 1.0})
    two = WorkflowBuilder("two")
    for name in ("one", "other"):
        two.add_task(Task(name, "sleep", payload={"seconds": 2}, resources=needs))
    there = (Offer({"cpu_cores": 1.0}),)
    found = Recorded(two.build(), {}, there, {"licence": 1.0}, None, quota={"cpu_cores": 1.0})
    roomy = Staff((Offer({"cpu_cores": 1.0}),) * 2, {"licence": 2.0}, {})
    bounded = replace(roomy, quotas={"default": {"licence": 1.0}})
    changes = (Change(), Change(staff=roomy), Change(staff=bounded), Change(staff=roomy, workers=1))
    settings = [altered(found, change, {}) for change in changes]
    assert [simulate(s.workflow, s.offers, s.shared).makespan_s for s in settings] == [4.0, 2.0, 4.0, 4.0]
    assert [setting.followed for setting in settings] == [False, True, True, True]


def test_one_faster_task() -> None:
    """A task made faster takes that share of its time, and no other changes."""
    workflow = random_workflow(Random(3), "e", 5)
    first = workflow.tasks[0].id
    faster, seconds = hastened(workflow, {first: 10.0}, {first: 0.5})
    assert seconds == {first: 5.0}
    assert [t for t, old in zip(faster.tasks, workflow.tasks, strict=True) if t != old] == [faster.tasks[0]]


def test_what_never_started_is_no_question() -> None:
    """A rejected execution has nothing to simulate, and the error says why it was rejected."""
    rejected = ExecutionRecord("e", reason="The pool has no GPU.")
    with pytest.raises(NothingRecordedError, match="no GPU"):
        recorded(rejected, (), (), 0)


def test_golden_histories_are_found() -> None:
    """The histories stand where the tests look for them."""
    assert all(isinstance(path, Path) for path in HISTORIES)
    assert len(HISTORIES) >= 30
