"""Goal: the builder collects in any order, checks at the end, and derives a stable id."""

from __future__ import annotations

import pytest

from talka_core.builder import WorkflowBuilder
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, Strategy, Task


def _builder() -> WorkflowBuilder:
    return WorkflowBuilder("My Flow!").add_task(Task("a", "sleep")).add_task(Task("b", "sleep"))


def test_everything_is_kept() -> None:
    """Each method but build returns the builder, and all settings arrive in the workflow."""
    workflow = (
        WorkflowBuilder("flow", id="f-1")
        .add_dependency("a", "b")
        .add_task(Task("b", "sleep", payload={"after": "${a}"}))
        .add_task(Task("a", "sleep"))
        .set_parallelism(3)
        .set_timeout(60)
        .set_strategy("deadline")
        .set_pool("gpu")
        .set_metadata({"owner": "me"})
        .set_metadata({"team": "us"})
        .set_limits(max_tasks=5)
        .set_limits(max_seconds=7200)
        .build()
    )
    assert workflow.id == "f-1"
    assert workflow.dependencies == (Dependency("a", "b"),)
    assert (workflow.config.max_parallel, workflow.config.timeout, workflow.config.pool) == (3, 60, "gpu")
    assert workflow.config.strategy is Strategy.DEADLINE
    assert workflow.metadata == {"owner": "me", "team": "us"}
    assert (workflow.constraints.max_tasks, workflow.constraints.max_seconds) == (5, 7200)


def test_build_checks() -> None:
    """Build refuses what cannot run, and can be called again once it is put right."""
    builder = WorkflowBuilder("flow").add_task(Task("b", "sleep", dependencies=("a",)))
    with pytest.raises(WorkflowInvalidError, match="no task has this id"):
        builder.build()
    assert len(builder.add_task(Task("a", "sleep")).build().tasks) == 2


def test_derived_id() -> None:
    """The same definition has the same id; another content has another one; limits do not matter."""
    first = _builder().build()
    assert first.id.startswith("my-flow-")
    assert _builder().set_limits(max_tasks=9).build().id == first.id
    assert _builder().set_parallelism(2).build().id != first.id
    assert WorkflowBuilder("集計").add_task(Task("a", "sleep")).build().id.startswith("workflow-")


def test_unknown_strategy() -> None:
    """A strategy that does not exist is refused with those that do."""
    with pytest.raises(WorkflowInvalidError, match="breadth_first"):
        WorkflowBuilder("flow").set_strategy("fastest")


def test_dependency_between_objects() -> None:
    """Tasks themselves can be given instead of their ids."""
    first, second = Task("a", "sleep"), Task("b", "sleep")
    workflow = WorkflowBuilder("f").add_task(first).add_task(second).add_dependency(first, second).build()
    assert workflow.dependencies == (Dependency("a", "b"),)


def test_workflow_is_immutable() -> None:
    """A built workflow cannot be changed."""
    with pytest.raises(AttributeError):
        _builder().build().name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
