"""Going back and running again on the embedded platform; side effects are counted in a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_core.scheduler.waiting import child_id
from talka_protocols.errors import RequestRefusedError
from talka_protocols.policies import Action, Then
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.client.verifying import verify_execution

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Orchestrator]:
    """Return a client of a platform with one worker; what it ran is verified in the end."""
    directory: Path = tmp_path_factory.mktemp("talka")
    async with local(
        data_dir=directory,
        capacity={"cpu_cores": 4.0, "memory_mb": 1000.0},
        durability="process",
        snapshot_every=20,
    ) as orchestrator:
        yield orchestrator
        ports = orchestrator.node.ports
        records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
        for execution_id in await orchestrator.histories.names("execution"):
            verdict = await verify_execution(records, execution_id)
            assert verdict.violations == (), execution_id


class Ledger:
    """A file that tasks write to: a line for everything that was done or undone, with its key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, task_id: str, then: str = "true", **more: Any) -> Task:
        """Return a task that writes its line and can be undone, unless it says otherwise."""
        more.setdefault("compensation", Action("command", {"argv": self._argv("-")}))
        return Task(task_id, "command", payload={"argv": self._argv("+", then)}, **more)

    def _argv(self, sign: str, then: str = "true") -> list[str]:
        return ["sh", "-c", f'echo "{sign} $TALKA_IDEMPOTENCY_KEY" >> {self.path} && {then}']

    def lines(self, execution_id: str) -> list[str]:
        """Return what was written, without the execution's id."""
        return self.path.read_text().replace(f"{execution_id}/", "").splitlines()

    def clear(self) -> None:
        """Forget everything."""
        self.path.write_text("")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return an empty ledger."""
    return Ledger(tmp_path / "ledger")


def chain(*tasks: Task) -> Workflow:
    """Return a workflow of tasks that need each other in this order."""
    builder = WorkflowBuilder("chain")
    for task in tasks:
        builder.add_task(task)
    for first, second in pairwise(tasks):
        builder.add_dependency(first.id, second.id)
    return builder.build()


async def test_rollback_undoes_in_reverse_order_and_runs_again(talka: Orchestrator, ledger: Ledger) -> None:
    """A finished execution goes back to the end of its first task; what is kept is not run again."""
    result = await talka.execute_workflow(chain(*map(ledger.step, "abc")))
    ledger.clear()
    id_ = result.execution_id
    plan = await talka.plan_rollback(id_, "a")
    assert (plan.kept, plan.compensated, plan.again) == (("a",), ("c", "b"), ("b", "c"))
    await talka.rollback(id_, "a")
    again = await talka.wait(id_)
    assert again.status is ExecutionState.SUCCEEDED
    assert again.tasks["a"] == result.tasks["a"]
    assert ledger.lines(id_) == ["- c/undo", "- b/undo", "+ b/2", "+ c/2"]


async def test_rollback_that_stops_and_restart_from_there(talka: Orchestrator, ledger: Ledger) -> None:
    """With ``stop`` it ends rolled back; a restart runs what is not done."""
    result = await talka.execute_workflow(chain(*map(ledger.step, "ab")))
    id_ = result.execution_id
    await talka.rollback(id_, "a", then=Then.STOP)
    stopped = await talka.wait(id_)
    assert stopped.status is ExecutionState.ROLLED_BACK
    assert stopped.tasks["b"].status is TaskStatus.COMPENSATED
    ledger.clear()
    await talka.restart(id_)
    assert (await talka.wait(id_)).status is ExecutionState.SUCCEEDED
    assert ledger.lines(id_) == ["+ b/2"]


async def test_restart_of_what_failed_keeps_what_is_done(talka: Orchestrator, ledger: Ledger) -> None:
    """What failed runs again under its old key with all that was skipped, and nothing else does."""
    mended = ledger.path.with_name("mended")
    steps = (ledger.step("a"), ledger.step("b", f"test -e {mended}"), ledger.step("c"))
    result = await talka.execute_workflow(chain(*steps))
    assert result.status is ExecutionState.FAILED
    ledger.clear()
    mended.touch()
    await talka.restart(result.execution_id)
    again = await talka.wait(result.execution_id)
    assert again.status is ExecutionState.SUCCEEDED
    assert again.tasks["a"] == result.tasks["a"]
    assert ledger.lines(result.execution_id) == ["+ b", "+ c"]


async def test_restart_from_a_task_keeps_independent_work(talka: Orchestrator, ledger: Ledger) -> None:
    """The task and all behind it run again; tasks without a compensation are just run, under a new key."""
    builder = WorkflowBuilder("diamond")
    for task_id in "abcd":
        builder.add_task(ledger.step(task_id, compensation=None))
    for edge in (("a", "b"), ("a", "c"), ("b", "d")):
        builder.add_dependency(*edge)
    result = await talka.execute_workflow(builder.build())
    ledger.clear()
    await talka.restart(result.execution_id, from_task="b")
    again = await talka.wait(result.execution_id)
    assert ledger.lines(result.execution_id) == ["+ b/2", "+ d/2"]
    assert [again.tasks[id_] == result.tasks[id_] for id_ in "ac"] == [True, True]


async def test_refusals_are_errors(talka: Orchestrator, ledger: Ledger) -> None:
    """What cannot be done is an error with a code, and nothing has changed."""
    irreversible = ledger.step("b", compensation=None, is_irreversible=True)
    result = await talka.execute_workflow(chain(ledger.step("a"), irreversible))
    ledger.clear()
    for ask, code in (
        (talka.rollback(result.execution_id, "a"), "irreversible"),
        (talka.rollback(result.execution_id, 10_000), "unknown_event"),
        (talka.restart(result.execution_id, from_task="x"), "unknown_task"),
        (talka.restart(result.execution_id), "nothing_to_restart"),
    ):
        with pytest.raises(RequestRefusedError) as refused:
            await ask
        assert refused.value.code == code
    assert ledger.lines(result.execution_id) == []
    await talka.rollback(result.execution_id, "a", accept_irreversible=True)
    await talka.wait(result.execution_id)
    assert ledger.lines(result.execution_id) == ["+ b"]


async def test_running_execution_goes_back(talka: Orchestrator, ledger: Ledger) -> None:
    """What runs is stopped, undone because it may have acted, and run again."""
    slow = '(test "$TALKA_ATTEMPT" -ge 2 || sleep 600)'
    id_ = await talka.submit_workflow(chain(ledger.step("a"), ledger.step("b", slow)))
    async with aclosing(talka.watch(id_)) as statuses:
        async for status in statuses:
            if status.running == ("b",):
                break
    await talka.rollback(id_, "a")
    assert (await talka.wait(id_)).status is ExecutionState.SUCCEEDED
    done = [line for line in ledger.lines(id_) if line != "+ b"]
    assert done == ["+ a", "- b/undo", "+ b/2"]


async def test_rollback_undoes_the_effects_of_sub_workflows(talka: Orchestrator, ledger: Ledger) -> None:
    """The plan names what the child undoes; its effects go in reverse order, and a new child runs."""
    inner = chain(*map(ledger.step, "xy"))
    sub = Task("sub", "workflow", workflow=inner)
    result = await talka.execute_workflow(chain(ledger.step("a"), sub, ledger.step("c")))
    parent = result.execution_id
    child = child_id(parent, "sub", 1)
    assert (await talka.get_execution_status(child)).status is ExecutionState.SUCCEEDED
    ledger.clear()
    plan = await talka.plan_rollback(parent, "a")
    assert plan.compensated == ("c", "sub")
    assert [(c.task_id, c.execution_id, c.plan.compensated) for c in plan.children if c.plan] == [
        ("sub", child, ("y", "x"))
    ]
    await talka.rollback(parent, "a")
    assert (await talka.wait(parent)).status is ExecutionState.SUCCEEDED
    assert (await talka.get_execution_status(child)).status is ExecutionState.ROLLED_BACK
    again = child_id(parent, "sub", 2)
    assert ledger.path.read_text().splitlines() == [
        f"- {parent}/c/undo",
        f"- {child}/y/undo",
        f"- {child}/x/undo",
        f"+ {again}/x",
        f"+ {again}/y",
        f"+ {parent}/c/2",
    ]


async def test_group_is_undone_when_a_member_fails(talka: Orchestrator, ledger: Ledger) -> None:
    """What the others did is undone from its end; the member that failed stays so."""
    result = await talka.execute_workflow(
        chain(
            *(ledger.step(id_, "true" if id_ != "c" else "false", group="g") for id_ in "abc"),
            Task("d", "sleep", payload={"seconds": 0}),
        )
    )
    assert result.status is ExecutionState.FAILED
    assert {id_: result.tasks[id_].status for id_ in "abcd"} == {
        "a": TaskStatus.COMPENSATED,
        "b": TaskStatus.COMPENSATED,
        "c": TaskStatus.FAILED,
        "d": TaskStatus.SKIPPED,
    }
    assert ledger.lines(result.execution_id) == ["+ a", "+ b", "+ c", "- b/undo", "- a/undo"]
