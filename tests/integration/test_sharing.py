"""Tenants, gangs and reservations on the embedded platform, and what its auditor says of them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talka import Orchestrator, ResourceRequirements, Task, Workflow, WorkflowBuilder, local
from talka_protocols import events as e
from talka_protocols.errors import CallerError, ResourcesUnavailable
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import LogName
from talka_services.cli.main import app

POOL_LOG = LogName("pool", "-", "default")
CORE = ResourceRequirements(cpu_cores=1.0)
TWO = ResourceRequirements(cpu_cores=2.0)


def workflow_of(*tasks: Task, tenant: str = "default") -> Workflow:
    """Return independent tasks of a tenant."""
    builder = WorkflowBuilder("sharing").set_tenant(tenant)
    for task in tasks:
        builder.add_task(task)
    return builder.build()


def sleep(name: str, resources: ResourceRequirements = CORE, **fields: str) -> Task:
    """Return a short task."""
    return Task(name, "sleep", payload={"seconds": 0.05}, resources=resources, **fields)  # type: ignore[arg-type]


async def _events(talka: Orchestrator) -> list[object]:
    commits = await talka.histories.commits(POOL_LOG)
    return [event for _, commit in commits for _, _, event in commit.events()]


async def test_a_pool_is_shared_by_its_rules(tmp_path: Path) -> None:
    """A quota is kept, a gang is one event, a reservation is used once at its time; the log is clean."""
    quotas = {"a": {"cpu_cores": 1.0}}
    async with local(
        data_dir=tmp_path, durability="process", capacity={"cpu_cores": 2.0}, workers=2, quotas=quotas
    ) as talka:
        tasks = [sleep(f"t{number}") for number in range(3)]
        result = await talka.execute_workflow(workflow_of(*tasks, tenant="a"))
        assert result.status is ExecutionState.SUCCEEDED
        gang = await talka.execute_workflow(workflow_of(sleep("x", TWO, gang="g"), sleep("y", TWO, gang="g")))
        assert gang.status is ExecutionState.SUCCEEDED
        await _reservations(talka)
        events = await _events(talka)
        (together,) = [event for event in events if isinstance(event, e.GangGranted)]
        assert len({granted.worker_id for granted in together.grants}) == 2
        inventory = await talka.get_available_resources()
        assert inventory.tenants["a"].quota == {"cpu_cores": 1.0}
    held = most = 0
    mine: set[str] = set()
    for event in events:
        if isinstance(event, e.AllocationGranted) and event.terms.tenant == "a":
            mine.add(event.allocation_id)
            held += 1
        elif isinstance(event, e.AllocationFreed) and event.allocation_id in mine:
            held -= 1
        most = max(most, held)
    assert most == 1
    audit = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "--data-dir", str(tmp_path)])
    assert audit.exit_code == 0, audit.output


async def _reservations(talka: Orchestrator) -> None:
    resources, starts_at = talka.resources, time.time() + 0.8
    made = await resources.reserve_resources(TWO, seconds=30, starts_at=starts_at, reservation_id="tonight")
    assert made.id == "tonight"
    result = await talka.execute_workflow(
        workflow_of(sleep("a", TWO, reservation="tonight"), sleep("b", reservation="nowhere"))
    )
    assert result.tasks["a"].started_at is not None
    assert result.tasks["a"].started_at >= starts_at - 0.01
    error = result.tasks["b"].error
    assert error is not None
    assert (error.code, "never made" in error.message) == ("bad_reservation", True)
    again = await talka.execute_workflow(workflow_of(sleep("a", TWO, reservation="tonight")))
    error = again.tasks["a"].error
    assert error is not None
    assert error.message.endswith("used.")
    later = time.time() + 3_600
    for name in ("one", "two"):
        await resources.reserve_resources(TWO, seconds=60, starts_at=later, reservation_id=name)
    with pytest.raises(ResourcesUnavailable, match="overlaps what is reserved already: one, two"):
        await resources.reserve_resources(CORE, seconds=60, starts_at=later + 30)
    with pytest.raises(CallerError, match="past"):
        await resources.reserve_resources(CORE, starts_at=time.time() - 5)
    with pytest.raises(CallerError, match="would last"):
        await resources.reserve_resources(CORE, starts_at=later, expires_at=later - 5)
    await resources.cancel_reservation("one")
    await resources.cancel_reservation("one")
    with pytest.raises(CallerError, match="never made"):
        await resources.cancel_reservation("three")
