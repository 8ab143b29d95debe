"""Goal: a workflow that names no strategy goes by its pool's, and one that names one keeps it.

Method: with_default_strategy on workflows with sub-workflows of this and of another pool.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from talka_core.builder import WorkflowBuilder
from talka_core.default_strategy import with_default_strategy
from talka_core.strategies import strategy_of
from talka_protocols.workflow import Strategy, Task, Workflow, WorkflowConfig


def workflow_of(config: WorkflowConfig, *children: Workflow) -> Workflow:
    """Return a workflow with a task for each sub-workflow, and one of its own."""
    builder = WorkflowBuilder("any").add_task(Task("own", "sleep", payload={"seconds": 0}))
    for number, child in enumerate(children):
        builder.add_task(Task(f"child{number}", "workflow", workflow=child))
    return replace(builder.build(), config=config)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (WorkflowConfig(), WorkflowConfig(strategy=Strategy.DEPTH_FIRST)),
        (WorkflowConfig(strategy=Strategy.PRIORITY), WorkflowConfig(strategy=Strategy.PRIORITY)),
        (WorkflowConfig(custom_strategy="shortest"), WorkflowConfig(custom_strategy="shortest")),
        (WorkflowConfig(pool="other"), WorkflowConfig(pool="other")),
    ],
    ids=["none", "built in", "brought by a package", "of another pool"],
)
def test_only_who_names_none_takes_that_of_the_pool(config: WorkflowConfig, expected: WorkflowConfig) -> None:
    """For a workflow and for the sub-workflows within it alike."""
    workflow = workflow_of(config, workflow_of(config), workflow_of(WorkflowConfig(pool="other")))
    found = with_default_strategy(workflow, "default", "depth_first")
    assert found.config == expected
    children = [task.workflow.config for task in found.tasks if task.workflow is not None]
    assert children == [expected, WorkflowConfig(pool="other")]
    assert with_default_strategy(found, "default", "depth_first") == found


def test_a_strategy_of_a_package_may_be_the_pools() -> None:
    """Whatever is not built in is named for the planner to find."""
    found = with_default_strategy(workflow_of(WorkflowConfig()), "default", "shortest")
    assert found.config == WorkflowConfig(custom_strategy="shortest")


def test_a_pool_without_one_changes_nothing() -> None:
    """Then it is the priority that counts."""
    workflow = workflow_of(WorkflowConfig())
    assert with_default_strategy(workflow, "default", "") == workflow
    assert strategy_of(workflow.config) is Strategy.PRIORITY
