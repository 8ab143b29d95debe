"""A failing agent type on the embedded platform: its breaker opens, and closes when it works again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_protocols import events as e
from talka_protocols.errors import ResourcesUnavailable
from talka_protocols.policies import Breaker, RetryPolicy
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Workflow
from talka_services.cli.main import app

POOL_LOG = LogName("pool", "-", "default")
RULE = Breaker(failures=3, within_ms=60_000, open_ms=700)


class Ailing:
    """An agent that fails until it is well."""

    def __init__(self) -> None:
        self.is_well = False
        self.calls = 0

    async def execute_task(self, task: Task) -> str:
        """Fail, or return the task's id."""
        self.calls += 1
        if not self.is_well:
            raise ConnectionError("The service does not answer.")
        return task.id


def workflow_of(count: int) -> Workflow:
    """Return independent tasks of the agent, which are tried again at once."""
    builder = WorkflowBuilder("ailing")
    policy = RetryPolicy(base_seconds=0.01)
    for number in range(count):
        builder.add_task(Task(f"t{number}", "ailing", retries=50, retry=policy))
    return builder.build()


async def _turns(talka: Orchestrator) -> list[str]:
    """Return how the breaker has turned so far."""
    kinds = (e.BreakerOpened, e.BreakerHalfOpened, e.BreakerClosed)
    commits = await talka.histories.commits(POOL_LOG)
    events = [event for _, commit in commits for _, _, event in commit.events()]
    return [type(event).__name__.removeprefix("Breaker") for event in events if isinstance(event, kinds)]


async def test_a_failing_agent_type_is_spared_and_tried_again(tmp_path: Path) -> None:
    """While it is open almost nothing is called, other types go on, and everything succeeds in the end."""
    agent = Ailing()
    async with local(
        data_dir=tmp_path, agents={"ailing": agent}, breakers={"ailing": RULE}, durability="process"
    ) as talka:
        execution_id = await talka.submit_workflow(workflow_of(4))
        async with asyncio.timeout(30.0):
            while (await _turns(talka)).count("Opened") < 3:  # noqa: ASYNC110  (only the log says it)
                await asyncio.sleep(0.05)
        assert agent.calls < 15, "four tasks with pauses of 10 ms would have failed a hundred times"
        assert (await talka.resources.get_available_resources()).breakers["ailing"] in ("open", "half_open")
        other = WorkflowBuilder("other").add_task(Task("nap", "sleep", payload={"seconds": 0.01})).build()
        assert (await talka.execute_workflow(other)).status is ExecutionState.SUCCEEDED
        with pytest.raises(ResourcesUnavailable, match="circuit breaker of agent type 'ailing' is"):
            await talka.resources.allocate_resources(Task("own", "ailing", timeout=0.2))
        agent.is_well = True
        result = await asyncio.wait_for(talka.wait(execution_id), 30.0)
        assert result.status is ExecutionState.SUCCEEDED
        turns = await _turns(talka)
        assert turns[:2] == ["Opened", "HalfOpened"]
        assert turns[-1] == "Closed"
        assert (await talka.resources.get_available_resources()).breakers == {"ailing": "closed"}


@pytest.mark.parametrize("command", [["up"], ["run"], ["service", "resource"]])
def test_help_names_the_flag(command: list[str]) -> None:
    """The flag that declares breakers is in the help of the commands that have it."""
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "--breaker" in shown
