"""A log that cannot be folded is set aside alone, and taken up again on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka import Task, WorkflowBuilder, local
from talka_protocols.commit import Commit, Decision, encode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import Event, TaskReady
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow


def workflow(seconds: float) -> Workflow:
    """Return a workflow of two tasks in a row."""
    tasks = [Task(name, "sleep", payload={"seconds": seconds}) for name in ("a", "b")]
    builder = WorkflowBuilder("quarantine").add_task(tasks[0]).add_task(tasks[1])
    return builder.add_dependency("a", "b").build()


async def test_a_broken_log_stops_nobody_else_and_can_be_released(tmp_path: Path) -> None:
    """While one execution's log is damaged others run; once it is repaired, a release lets it end."""
    async with local(data_dir=tmp_path, durability="process") as talka:
        broken_id = await talka.submit_workflow(workflow(0.5))
        async for status in talka.watch(broken_id):
            if status.running:
                break
        name = talka.histories.name(broken_id)
        log, js = talka.node.ports.log, talka.node.connection.js
        last = (await log.read(name))[-1].position
        wrong: Commit[Event] = Commit(999, 0, 0, (Decision("test", (TaskReady("nobody"),)),))
        position = await log.append(name, last, encode_commit(wrong), "planted")

        for _ in range(2):
            result = await talka.execute_workflow(workflow(0.3))
            assert result.status is ExecutionState.SUCCEEDED
        with pytest.raises(BrokenHistoryError, match="999"):
            await talka.release_execution(broken_id)

        await js.delete_msg(talka.node.connection.names.stream("log"), position)
        await talka.release_execution(broken_id)
        assert (await talka.wait(broken_id)).status is ExecutionState.SUCCEEDED
