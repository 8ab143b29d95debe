"""A real platform plans for the workers that it has, and starts tasks in the order that it planned."""

from __future__ import annotations

from pathlib import Path

from talka import ResourceRequirements, Strategy, Task, Workflow, WorkflowBuilder, local
from talka_protocols.states import ExecutionState

CORES = 2.0
LENGTHS = {"short": 0.1, "long": 0.6, "middle": 0.3, "last": 0.1}


def workflow() -> Workflow:
    """Return tasks of which one core each is too much for the workers together."""
    builder = WorkflowBuilder("packed").set_strategy(Strategy.RESOURCE_OPTIMIZED)
    one = ResourceRequirements(cpu_cores=1.0)
    for name, seconds in LENGTHS.items():
        task = Task(name, "sleep", payload={"seconds": seconds}, estimated_seconds=seconds, resources=one)
        builder.add_task(task)
    return builder.build()


async def test_what_is_planned_is_recorded_and_followed(tmp_path: Path) -> None:
    """The client says what the pool has, the planner records leads for that, and the best start first."""
    capacity = {"cpu_cores": CORES}
    async with local(data_dir=tmp_path, workers=1, capacity=capacity, durability="process") as talka:
        result = await talka.execute_workflow(workflow())
        planned = (await talka.histories.plan(result.execution_id)).baseline
        state = await talka.histories.execution(result.execution_id)
    assert result.status is ExecutionState.SUCCEEDED
    assert planned is not None
    assert state.baseline == planned
    # Two cores cannot do 1.1 s of work in less than the longest task, and need no longer.
    assert planned.makespan_s == LENGTHS["long"]
    leads = dict(zip(LENGTHS, planned.leads, strict=True))
    started = sorted(LENGTHS, key=lambda name: state.tasks[name].scheduled_at)
    assert set(started[:2]) == set(sorted(LENGTHS, key=leads.__getitem__, reverse=True)[:2])
