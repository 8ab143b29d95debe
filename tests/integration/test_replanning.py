"""On a real platform a shorter schedule is found while the first task waits, adopted and followed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from talka import Strategy, local
from talka_core.builder import WorkflowBuilder
from talka_protocols.events import BaselineAdopted
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import ResourceRequirements, Task, Workflow

CAPACITY = {"cpu_cores": 4.0, "slots": 8.0}
NEEDS = ((3, 0.4), (2, 0.3), (2, 0.5), (1, 0.7), (1, 0.2), (3, 0.3), (2, 0.6), (1, 0.1))


def workflow() -> Workflow:
    """Return tasks that take much less than they are thought to, behind one that waits for a signal."""
    builder = WorkflowBuilder("gated").set_strategy(Strategy.RESOURCE_OPTIMIZED)
    builder.add_task(Task("gate", "signal", payload={"name": "open"}))
    for number, (cores, seconds) in enumerate(NEEDS * 3):
        needs = ResourceRequirements(cpu_cores=float(cores))
        estimate = seconds * (1 + number % 5)
        payload = {"seconds": seconds / 20}
        task = Task(f"t{number}", "sleep", payload=payload, estimated_seconds=estimate, resources=needs)
        builder.add_task(task)
        builder.add_dependency("gate", task.id)
        if number % 3 == 2:
            builder.add_dependency(f"t{number - 2}", task.id)
    return builder.build()


async def test_a_shorter_schedule_is_adopted_while_it_runs(tmp_path: Path) -> None:
    """The greedy plan is accepted at once; a wait that it does not know takes the execution off it.

    What is proposed afterwards is made for what is left, and shorter.
    """
    async with local(data_dir=tmp_path, workers=1, capacity=CAPACITY, durability="process") as talka:
        execution_id = await talka.submit_workflow(workflow(), improve_s=0.5)
        async with asyncio.timeout(90), aclosing(talka.histories.follow(execution_id)) as states:
            async for state in states:
                if state.is_replanned:
                    assert not state.is_off_baseline
                    break
        await talka.signal(execution_id, "open")
        result = await talka.wait(execution_id)
        planned = (await talka.histories.plan(execution_id)).baseline
        state = await talka.histories.execution(execution_id)
        commits = await talka.histories.commits(talka.histories.name(execution_id))
    assert result.status is ExecutionState.SUCCEEDED
    found = [event for _, commit in commits for _, _, event in commit.events()]
    adopted = [event.baseline for event in found if isinstance(event, BaselineAdopted)]
    assert planned is not None
    assert adopted[-1] == state.baseline != planned
    assert adopted[0].makespan_s < planned.makespan_s
    assert adopted[0].links
