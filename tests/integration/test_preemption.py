"""A long task makes way for one that is nearly late, and goes on from its checkpoint: the whole platform."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from talka import local
from talka_chaos.records import record_of
from talka_protocols import events as e
from talka_protocols.states import ExecutionState
from talka_services.client.audits import audit
from talka_services.executors.registry import ExecutorSettings
from talka_services.formats.loader import load

CHECKPOINTS = 3


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_deadline_is_met_and_nothing_is_done_twice(tmp_path: Path) -> None:
    """The long task is stopped in time, begins again where it was, and neither failed nor was retried."""
    work, urgent = load("docs.examples.preemption:workflow"), load("docs.examples.preemption:urgent")
    settings = ExecutorSettings(allow_modules=("*",), work_dir=str(Path.cwd()))
    offer = {"cpu_cores": 1.0}
    async with local(
        data_dir=tmp_path, executors=settings, durability="process", capacity=offer, workers=1
    ) as talka:
        long_id = await talka.submit_workflow(work)
        async with aclosing(talka.histories.follow(long_id)) as states:
            async for state in states:
                checkpoint = state.tasks["read"].checkpoint if state.tasks else None
                if checkpoint is not None and checkpoint.sequence >= CHECKPOINTS:
                    break
        answered = await talka.execute_workflow(urgent)
        read = await talka.wait(long_id)
        assert (answered.status, read.status) == (ExecutionState.SUCCEEDED, ExecutionState.SUCCEEDED)
        assert answered.makespan_s is not None
        assert answered.makespan_s < (urgent.tasks[0].deadline or 0.0)
        assert any("Deadline threatened: task 'answer'" in alert for alert in answered.alerts)
        result = read.tasks["read"].result
        assert result["attempt"] == 2
        assert result["begun_at"] >= CHECKPOINTS
        record = await record_of(talka, long_id)
        events = [event for _, event in record.events]
        preempted = next(event for event in events if isinstance(event, e.TaskPreempted))
        assert f"of execution {answered.execution_id} ranks higher" in preempted.reason
        assert not [event for event in events if isinstance(event, e.TaskRetrying | e.TaskFailed)]
        assert not (await audit(talka.node.ports.log)).count
