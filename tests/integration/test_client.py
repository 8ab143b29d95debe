"""The client's interface on the embedded platform: results, failures, cancelling, resources, agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from talka import Orchestrator, ResourceRequirements, Task, WorkflowBuilder, WorkflowInvalidError, local
from talka_protocols.errors import (
    CallerError,
    ResourcesUnavailable,
    UnknownExecutionError,
    WildcardError,
)
from talka_protocols.events import ReservationEnded
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Workflow

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Greeter:
    """An agent of the platform's framework, by shape alone."""

    max_concurrent_tasks = 2
    capabilities = ("greeting",)

    async def execute_task(self, task: Task) -> dict[str, Any]:
        """Greet whom the payload names."""
        return {"text": f"Hello {task.payload['name']}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Orchestrator]:
    """Return a client of a platform with two workers of two cores each."""
    directory: Path = tmp_path_factory.mktemp("talka")
    capacity = {"cpu_cores": 2.0, "memory_mb": 1000.0, "licence": 1.0}
    async with local(
        data_dir=directory,
        workers=2,
        capacity=capacity,
        agents={"greeter": Greeter()},
        durability="process",
        snapshot_every=20,
    ) as orchestrator:
        yield orchestrator


def sleep(task_id: str, seconds: float = 0.0, **more: Any) -> Task:
    """Return a task that sleeps and returns its own id."""
    return Task(task_id, "sleep", payload={"seconds": seconds, "result": {"id": task_id}}, **more)


def workflow(*tasks: Task, edges: tuple[tuple[str, str], ...] = (), **settings: Any) -> Workflow:
    """Build a workflow."""
    builder = WorkflowBuilder("test")
    for task in tasks:
        builder.add_task(task)
    for edge in edges:
        builder.add_dependency(*edge)
    if "parallelism" in settings:
        builder.set_parallelism(settings["parallelism"])
    if "timeout" in settings:
        builder.set_timeout(settings["timeout"])
    return builder.build()


async def test_a_diamond_runs_in_order_and_passes_values(talka: Orchestrator) -> None:
    """A reference carries a value of any type from one task to another, and orders them."""
    result = await talka.execute_workflow(
        workflow(
            sleep("a"),
            Task("b", "sleep", payload={"seconds": 0, "result": {"from": "${a.id}", "all": "${a}"}}),
            Task("c", "sleep", payload={"seconds": 0, "result": "${b.from} and ${b.all.id}"}),
        )
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert result.tasks["c"].result == "a and a"


async def test_what_was_and_what_would_be(talka: Orchestrator) -> None:
    """A state at any event, and a run on the workers that are there, without running anything."""
    tasks = [sleep("a", 0.01), sleep("b", 0.01, dependencies=("a",))]
    workflow = WorkflowBuilder("past").add_task(tasks[0]).add_task(tasks[1]).build()
    execution_id = await talka.submit_workflow(workflow)
    await talka.wait(execution_id)
    now = await talka.replay(execution_id)
    assert (now.status, now.done) == (ExecutionState.SUCCEEDED, 2)
    began = await talka.replay(execution_id, 2)
    assert (began.version, began.done, began.total) == (2, 0, 2)
    with pytest.raises(CallerError, match="has no event 999"):
        await talka.replay(execution_id, 999)
    wide = WorkflowBuilder("wide")
    for number in range(8):
        wide.add_task(sleep(f"t{number}", 10.0, resources=ResourceRequirements(cpu_cores=1)))
    here = await talka.simulate(wide.build())
    alone = await talka.simulate(wide.build(), workers=[{"cpu_cores": 1.0}], strategy="depth_first")
    assert here.makespan_s == pytest.approx(20.0, rel=0.05)
    assert alone.makespan_s == pytest.approx(80.0, rel=0.05)


async def test_parallel_results_come_in_input_order(talka: Orchestrator) -> None:
    """A failure is a result like any other, and the order is the caller's."""
    bad = Task("bad", "command", payload={"argv": ["false"]})
    results = await talka.execute_parallel([sleep("x", 0.1), bad, sleep("y")])
    assert [r.task_id for r in results] == ["x", "bad", "y"]
    assert [r.status for r in results] == [TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.SUCCEEDED]
    assert results[1].error is not None
    assert results[1].error.code == "task_failed"


async def test_sequential_stops_at_the_first_failure(talka: Orchestrator) -> None:
    """What comes after a failure is skipped."""
    bad = Task("bad", "command", payload={"argv": ["false"]})
    results = await talka.execute_sequential([sleep("x"), bad, sleep("y"), sleep("z")])
    assert [r.status for r in results] == [
        TaskStatus.SUCCEEDED,
        TaskStatus.FAILED,
        TaskStatus.SKIPPED,
        TaskStatus.SKIPPED,
    ]


async def test_a_failing_task_is_tried_again_as_often_as_asked(talka: Orchestrator) -> None:
    """Retries are attempts of their own, and the last error is the task's."""
    bad = Task("bad", "command", payload={"argv": ["false"]}, retries=2)
    result = await talka.execute_workflow(workflow(bad, sleep("y")))
    assert result.status is ExecutionState.FAILED
    assert result.tasks["bad"].attempts == 3
    assert result.tasks["y"].status is TaskStatus.SUCCEEDED


async def test_a_task_that_runs_too_long_is_stopped(talka: Orchestrator) -> None:
    """The time-out of a task is enforced and recorded as its own outcome."""
    result = await talka.execute_workflow(workflow(sleep("long", 60, timeout=0.2)))
    task = result.tasks["long"]
    assert task.status is TaskStatus.TIMED_OUT
    assert task.error is not None
    assert "0.2 s" in task.error.message


async def test_an_execution_ends_at_its_time_limit_and_keeps_its_results(talka: Orchestrator) -> None:
    """What has finished stays finished; what runs is stopped."""
    result = await talka.execute_workflow(workflow(sleep("short"), sleep("long", 60), timeout=0.5))
    assert result.status is ExecutionState.TIMED_OUT
    assert result.tasks["short"].result == {"id": "short"}
    assert result.tasks["long"].status is TaskStatus.CANCELLED


async def test_cancelling_stops_what_runs_and_what_waits(talka: Orchestrator) -> None:
    """Cancelling says whether there was anything to cancel, and twice is the same as once."""
    execution_id = await talka.submit_workflow(
        workflow(sleep("a", 60), sleep("b", 60), sleep("c"), edges=(("a", "c"),), parallelism=1)
    )
    async for status in talka.watch(execution_id):
        if status.running:
            break
    assert await talka.cancel_execution(execution_id, "enough")
    result = await talka.wait(execution_id)
    assert result.status is ExecutionState.CANCELLED
    assert {task.status for task in result.tasks.values()} == {TaskStatus.CANCELLED}
    assert result.reason == "enough"


async def test_cancelling_what_has_ended_is_refused_mildly(talka: Orchestrator) -> None:
    """An execution that is over is not cancelled, and an unknown one is an error."""
    result = await talka.execute_workflow(workflow(sleep("a")))
    assert not await talka.cancel_execution(result.execution_id)
    with pytest.raises(UnknownExecutionError):
        await talka.cancel_execution("nobody")
    with pytest.raises(UnknownExecutionError):
        await talka.get_execution_status("nobody")


@pytest.mark.parametrize("name", ["*", ">", "a b", "a\nb", "a\fb", ".a", "a.", "a..b"])
async def test_no_id_stands_for_many_or_ends_too_soon(talka: Orchestrator, name: str) -> None:
    """What the server takes for a wildcard, or an end, neither shows nor touches what belongs to others."""
    result = await talka.execute_workflow(workflow(sleep("a")))
    with pytest.raises(UnknownExecutionError):
        await talka.get_execution_status(name)
    with pytest.raises(UnknownExecutionError):
        await talka.cancel_execution(name)
    with pytest.raises(UnknownExecutionError):
        await talka.until_begun(name)
    ports = talka.node.ports
    own = talka.histories.name(result.execution_id)
    many = LogName(own.kind, own.shard, name)
    assert await ports.log.read(own)
    with pytest.raises(WildcardError):
        await ports.log.read(many)
    with pytest.raises(WildcardError):
        await ports.snapshots.load(many)


async def test_the_same_key_runs_once(talka: Orchestrator) -> None:
    """A caller's key decides the execution id, so a repeated submission joins the first."""
    first = await talka.submit_workflow(workflow(sleep("a")), key="daily 1")
    result = await talka.wait(first)
    second = await talka.submit_workflow(workflow(sleep("a")), key="daily 1")
    assert second == first
    assert (await talka.wait(second)).tasks["a"].started_at == result.tasks["a"].started_at


async def test_a_bad_workflow_stores_nothing(talka: Orchestrator) -> None:
    """What the check refuses never reaches a log."""
    before = await talka.histories.names("plan")
    unknown = Workflow("w", "w", (Task("a", "slep"),))
    with pytest.raises(WorkflowInvalidError, match="sleep"):
        await talka.submit_workflow(unknown)
    too_big = Workflow("w", "w", (sleep("a", resources=ResourceRequirements(cpu_cores=64)),))
    with pytest.raises(WorkflowInvalidError, match="cpu_cores"):
        await talka.submit_workflow(too_big)
    assert await talka.histories.names("plan") == before


async def test_tasks_never_hold_more_than_there_is(talka: Orchestrator) -> None:
    """Two workers with one licence each run at most two licensed tasks at once."""
    licensed = ResourceRequirements(custom_resources={"licence": 1.0})
    tasks = [sleep(f"t{i}", 0.05, resources=licensed) for i in range(8)]
    results = await talka.execute_parallel(tasks)
    moments = sorted(
        [(r.started_at or 0.0, 1) for r in results] + [(r.finished_at or 0.0, -1) for r in results]
    )
    held, most = 0, 0
    for _, change in moments:
        held += change
        most = max(most, held)
    assert most <= 2


async def test_agents_run_tasks_by_their_shape(talka: Orchestrator) -> None:
    """An object with execute_task serves its agent type and its capabilities."""
    results = await talka.execute_parallel(
        [
            Task("a", "greeter", payload={"name": "Ada"}),
            Task("b", "greeting", payload={"name": "Bo"}),
        ]
    )
    assert [r.result for r in results] == [{"text": "Hello Ada"}, {"text": "Hello Bo"}]


async def test_a_large_result_travels_by_claim_check(talka: Orchestrator) -> None:
    """Five megabytes pass between tasks although no message may hold them."""
    result = await talka.execute_workflow(
        workflow(
            Task("big", "sleep", payload={"seconds": 0, "result": {"head": "x", "body": "y" * 500_000}}),
            Task("doubled", "sleep", payload={"seconds": 0, "result": "${big.body}${big.body}"}),
            Task("head", "sleep", payload={"seconds": 0, "result": "${big.head}"}),
        )
    )
    assert result.tasks["head"].result == "x"
    assert len(result.tasks["doubled"].result) == 1_000_000


async def test_resources_are_allocated_and_released(talka: Orchestrator) -> None:
    """A client's allocation takes from a worker until it is given back; twice changes nothing."""
    task = Task("mine", "sleep", resources=ResourceRequirements(cpu_cores=1.5))
    allocation = await talka.resources.allocate_resources(task)
    workers = (await talka.resources.get_available_resources()).workers
    free = {worker.worker_id: worker.free["cpu_cores"] for worker in workers}
    assert free[allocation.worker_id] == 0.5
    await talka.resources.release_resources(allocation)
    await talka.resources.release_resources(allocation)
    inventory = await talka.resources.get_available_resources()
    assert all(worker.free == worker.capacity for worker in inventory.workers)


async def test_what_is_not_free_is_refused_by_name(talka: Orchestrator) -> None:
    """An allocation that does not become free in time names the short resource, and leaves nothing."""
    first = await talka.resources.allocate_resources(
        Task("one", "sleep", resources=ResourceRequirements(custom_resources={"licence": 1}))
    )
    second = await talka.resources.allocate_resources(
        Task("two", "sleep", resources=ResourceRequirements(custom_resources={"licence": 1}))
    )
    assert first.worker_id != second.worker_id
    assert first.fence != second.fence
    licence = ResourceRequirements(custom_resources={"licence": 1})
    third = Task("three", "sleep", timeout=0.3, resources=licence)
    with pytest.raises(ResourcesUnavailable, match="licence"):
        await talka.resources.allocate_resources(third)
    await talka.resources.release_resources(first)
    await talka.resources.release_resources(second)
    inventory = await talka.resources.get_available_resources()
    assert inventory.waiting == 0


async def test_a_reservation_keeps_resources_until_it_expires(talka: Orchestrator) -> None:
    """Reserved amounts are not given to others, and come back when the time is over."""
    need = ResourceRequirements(cpu_cores=2.0)
    await talka.resources.reserve_resources(need, seconds=0.6)
    mine = await talka.resources.reserve_resources(need, seconds=30)
    with pytest.raises(ResourcesUnavailable, match="cpu_cores"):
        await talka.resources.reserve_resources(need)
    used = Task("use", "sleep", resources=need, labels={"reservation": mine.id}, timeout=5.0)
    allocation = await talka.resources.allocate_resources(used)
    await talka.resources.release_resources(allocation)
    async with asyncio.timeout(10):
        async for _position, commit in talka.histories.follow_commits(LogName("pool", "-", "default")):
            ended = [event for _, _, event in commit.events() if isinstance(event, ReservationEnded)]
            if any(event.reason == "expired" for event in ended):
                break
    assert (await talka.resources.get_available_resources()).reservations == 0
