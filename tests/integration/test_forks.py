"""Forks on the embedded platform, here and from an exported file; side effects are counted in a file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.waiting import child_id
from talka_protocols.errors import RequestRefusedError, UnknownExecutionError
from talka_protocols.policies import Action, MapOver, Then
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.client.rewinding import plan_rollback, rollback_request
from talka_services.client.verifying import verify_execution
from talka_services.exports import Archive, export_execution, import_execution
from talka_services.formats import load

OPTIONS: dict[str, Any] = {
    "capacity": {"cpu_cores": 4.0, "memory_mb": 1000.0},
    "durability": "process",
    "snapshot_every": 20,
}
LARGE = 400_000
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fork.yaml"


def step(ledger: Path, task_id: str, then: str = "true") -> Task:
    """Return a task that writes its idempotency key into the ledger."""
    script = f'echo "$TALKA_IDEMPOTENCY_KEY" >> {ledger} && {then}'
    return Task(task_id, "command", payload={"argv": ["sh", "-c", script]})


def chain(*tasks: Task) -> Workflow:
    """Return a workflow of tasks that need each other in this order."""
    builder = WorkflowBuilder("chain")
    for task in tasks:
        builder.add_task(task)
    for first, second in pairwise(tasks):
        builder.add_dependency(first.id, second.id)
    return builder.build()


async def end_of(talka: Orchestrator, execution_id: str, task_id: str) -> int:
    """Return the event at which a task of an execution ended."""
    state: ExecutionRecord = await talka.histories.execution(execution_id)
    return state.tasks[task_id].ended_version


async def verify(talka: Orchestrator, execution_id: str) -> None:
    """Hold the whole history of an execution to every rule."""
    ports = talka.node.ports
    records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
    assert (await verify_execution(records, execution_id)).violations == ()


async def export(talka: Orchestrator, execution_id: str, path: Path) -> None:
    """Export an execution."""
    ports = talka.node.ports
    await export_execution(
        execution_id,
        path,
        log=ports.log,
        blobs=ports.blobs,
        snapshots=ports.snapshots,
        namespace="default",
        shards=ports.shards,
    )


@pytest.mark.asyncio
async def test_a_fork_never_runs_what_it_keeps(tmp_path: Path) -> None:
    """What had ended keeps its result and is not run; the rest runs once, with keys of the new execution."""
    ledger = tmp_path / "ledger"
    tasks = [step(ledger, "a", "echo one"), step(ledger, "b", "test -f " + str(tmp_path / "mended"))]
    async with local(data_dir=tmp_path / "talka", **OPTIONS) as talka:
        failed = await talka.execute_workflow(chain(*tasks, step(ledger, "c")))
        assert failed.status is ExecutionState.FAILED
        (tmp_path / "mended").touch()
        event = await end_of(talka, failed.execution_id, "a")
        ledger.write_text("")
        forked = await talka.fork(failed.execution_id, event, key="again")
        assert await talka.fork(failed.execution_id, event, key="again") == forked
        result = await talka.wait(forked)
        assert (result.status, forked != failed.execution_id) == (ExecutionState.SUCCEEDED, True)
        assert result.tasks["a"] == failed.tasks["a"]
        assert ledger.read_text().splitlines() == [f"{forked}/b", f"{forked}/c"]
        at_origin = await talka.histories.execution(failed.execution_id, event)
        state = await talka.histories.execution(forked)
        assert state.origin is not None
        assert (state.origin.execution_id, state.origin.version) == (failed.execution_id, event)
        assert bytes(state.tasks["a"].result) == bytes(at_origin.tasks["a"].result)
        await verify(talka, forked)
        for execution_id, at, error in (
            ("nobody", 1, UnknownExecutionError),
            (forked, 0, RequestRefusedError),
            (forked, 10_000, RequestRefusedError),
        ):
            with pytest.raises(error):
                await talka.fork(execution_id, at)


@pytest.mark.asyncio
async def test_an_exported_execution_is_forked_where_its_origin_is_gone(tmp_path: Path) -> None:
    """The file is enough: large results come along, and what is kept is not run in the other place."""
    ledger, file = tmp_path / "ledger", tmp_path / "e.talka.sqlite"
    first = step(ledger, "first", "echo one")
    large = Task("large", "sleep", payload={"seconds": 0, "result": "x" * LARGE})
    count = Task(
        "count", "command", payload={"argv": ["sh", "-c", f"wc -c >> {ledger}"], "stdin": "${large}"}
    )
    async with local(data_dir=tmp_path / "first", **OPTIONS) as talka:
        origin = await talka.execute_workflow(chain(first, large, count))
        assert origin.status is ExecutionState.SUCCEEDED, origin
        event = await end_of(talka, origin.execution_id, "large")
        await export(talka, origin.execution_id, file)
    (tmp_path / "first").rename(tmp_path / "gone")
    ledger.write_text("")
    async with local(data_dir=tmp_path / "second", **OPTIONS) as talka:
        with Archive(file) as archive:
            forked = await talka.fork(origin.execution_id, event, archive=archive)
        result = await talka.wait(forked)
        assert (result.status, result.tasks["large"].status) == (
            ExecutionState.SUCCEEDED,
            TaskStatus.SUCCEEDED,
        )
        assert result.tasks["first"].result == origin.tasks["first"].result
        assert result.tasks["large"].result == "x" * LARGE
        state = await talka.histories.execution(forked)
        assert state.tasks["large"].claim is not None
        assert [int(line) for line in ledger.read_text().split()] == [LARGE]
        await verify(talka, forked)
        with pytest.raises(UnknownExecutionError):
            await talka.histories.execution(origin.execution_id)


@pytest.mark.asyncio
async def test_sub_workflows_come_along_in_an_exported_file(tmp_path: Path) -> None:
    """Both levels are read, forked and imported where their origin is gone, and there rolled back."""
    ledger, file = tmp_path / "ledger", tmp_path / "e.talka.sqlite"
    undo = Action("command", {"argv": ["sh", "-c", f'echo "undone $TALKA_IDEMPOTENCY_KEY" >> {ledger}']})
    inner = chain(Task("deep", "workflow", workflow=chain(replace(step(ledger, "x"), compensation=undo))))
    async with local(data_dir=tmp_path / "first", **OPTIONS) as talka:
        origin = await talka.execute_workflow(
            chain(step(ledger, "a"), Task("sub", "workflow", workflow=inner), step(ledger, "b"))
        )
        parent = origin.execution_id
        event = await end_of(talka, parent, "sub")
        await export(talka, parent, file)
    (tmp_path / "first").rename(tmp_path / "gone")
    child = child_id(parent, "sub", 1)
    grandchild = child_id(child, "deep", 1)
    ledger.write_text("")
    with Archive(file) as archive:
        assert archive.manifest.children == (child, grandchild)
        plan = await plan_rollback(archive.histories, rollback_request(parent, "a"))
        inner_plan = plan.children[0].plan
        assert inner_plan is not None
        assert [(c.execution_id, c.plan and c.plan.compensated) for c in inner_plan.children] == [
            (grandchild, ("x",))
        ]
        async with local(data_dir=tmp_path / "second", **OPTIONS) as talka:
            forked = await talka.fork(parent, event, archive=archive)
            assert (await talka.wait(forked)).tasks["sub"] == origin.tasks["sub"]
            again = await talka.fork(grandchild, 1, archive=archive)
            assert (await talka.wait(again)).status is ExecutionState.SUCCEEDED
            assert ledger.read_text().splitlines() == [f"{forked}/b", f"{again}/x"]
            ports = talka.node.ports
            await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
            assert (await talka.get_execution_status(grandchild)).status is ExecutionState.SUCCEEDED
            ledger.write_text("")
            await talka.rollback(parent, "a", then=Then.STOP)
            assert (await talka.wait(parent)).status is ExecutionState.ROLLED_BACK
            assert ledger.read_text().splitlines() == [f"undone {grandchild}/x/undo"]
            await verify(talka, grandchild)


@pytest.mark.asyncio
async def test_much_that_is_kept_travels_by_claim_check(tmp_path: Path) -> None:
    """Hundreds of kept results are stored once, split into commits, and survive a restart of the platform."""
    builder = WorkflowBuilder("many")
    for index in range(300):
        builder.add_task(Task(f"t{index}", "sleep", payload={"seconds": 0, "result": "x" * 9000}))
    builder.add_task(Task("last", "sleep", payload={"seconds": 0}))
    for index in range(300):
        builder.add_dependency(f"t{index}", "last")
    async with local(data_dir=tmp_path / "talka", **OPTIONS) as talka:
        origin = await talka.execute_workflow(builder.build())
        state = await talka.histories.execution(origin.execution_id)
        event = max(record.ended_version for t, record in state.tasks.items() if t != "last")
        forked = await talka.fork(origin.execution_id, event)
        result = await talka.wait(forked)
        assert result.status is ExecutionState.SUCCEEDED
        live = await talka.histories.execution(forked)
        assert live.origin is not None
        assert (live.origin.claim is not None, live.origin.tasks, live.adopting) == (True, (), {})
        assert all(result.tasks[t].result == origin.tasks[t].result for t in state.tasks)
        assert sum(bool(record.spans) for record in live.tasks.values()) == 1
        await verify(talka, forked)
    async with local(data_dir=tmp_path / "talka", **OPTIONS) as talka:
        assert (await talka.wait(forked)).status is ExecutionState.SUCCEEDED
        await verify(talka, forked)


@pytest.mark.asyncio
async def test_items_of_a_map_are_kept_and_travel_by_claim_check(tmp_path: Path) -> None:
    """Hundreds of items that had ended are never run again, here or after a restart of the platform."""
    ledger = tmp_path / "ledger"
    script = f'echo "$TALKA_IDEMPOTENCY_KEY" >> {ledger}; test ${{item}} -lt 149 -o -f {tmp_path}/mended'
    payload = {"argv": ["sh", "-c", script, "x" * 12_000]}
    mapped = Task("m", "command", payload=payload, map=MapOver(list(range(150)), max_parallel=8))
    async with local(data_dir=tmp_path / "talka", **OPTIONS) as talka:
        origin = await talka.execute_workflow(chain(mapped))
        assert origin.status is ExecutionState.FAILED
        event = await end_of(talka, origin.execution_id, "m[149]") - 1
        then = await talka.histories.execution(origin.execution_id, event)
        kept = {t for t, record in then.tasks.items() if record.status is TaskStatus.SUCCEEDED}
        assert len(kept) > 130
        ledger.write_text("")
        (tmp_path / "mended").touch()
        forked = await talka.fork(origin.execution_id, event)
        result = await talka.wait(forked)
        assert result.status is ExecutionState.SUCCEEDED
        assert all(result.tasks[task_id] == origin.tasks[task_id] for task_id in kept)
        expected = {f"{forked}/m[{index}]" for index in range(150) if f"m[{index}]" not in kept}
        assert sorted(ledger.read_text().splitlines()) == sorted(expected)
        live = await talka.histories.execution(forked)
        assert live.origin is not None
        assert (live.origin.added_claim is not None, live.origin.added, live.growing) == (True, (), [])
        await verify(talka, forked)
    async with local(data_dir=tmp_path / "talka", **OPTIONS) as talka:
        assert (await talka.wait(forked)).status is ExecutionState.SUCCEEDED
        await verify(talka, forked)


@pytest.mark.asyncio
async def test_the_example_of_a_fork_keeps_what_it_says(tmp_path: Path) -> None:
    """A fork where the model had ended takes over two results, and runs the two tasks behind them."""
    async with local(data_dir=tmp_path / "talka", **OPTIONS) as talka:
        origin = await talka.execute_workflow(load(EXAMPLE))
        event = await end_of(talka, origin.execution_id, "model")
        forked = await talka.fork(origin.execution_id, event)
        result = await talka.wait(forked)
        assert result.status is ExecutionState.SUCCEEDED
        assert {name: task.result for name, task in result.tasks.items()} == {
            name: task.result for name, task in origin.tasks.items()
        }
        began = {name: task.started_at for name, task in result.tasks.items()}
        new = {name for name, at in began.items() if at != origin.tasks[name].started_at}
        assert new == {"forecast", "publish"}, (origin.tasks, result.tasks)
        await verify(talka, forked)
