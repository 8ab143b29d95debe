"""The strategy of workflows that name none: that of their pool."""

from __future__ import annotations

from msgspec.structs import replace

from talka_protocols.workflow import Strategy, Task, Workflow, WorkflowConfig


def by_strategy(config: WorkflowConfig, name: str) -> WorkflowConfig:
    """Return the settings with a strategy: a built-in one, or else one that a package brings."""
    if name in tuple(Strategy):
        return replace(config, strategy=Strategy(name), custom_strategy="")
    return replace(config, strategy=None, custom_strategy=name)


def with_default_strategy(workflow: Workflow, pool: str, name: str) -> Workflow:
    """Return the workflow, and its sub-workflows, by the strategy of their pool where they name none.

    A pool without one, whose ``name`` is empty, changes nothing.
    """
    if not name:
        return workflow
    config = workflow.config
    if config.pool == pool and config.strategy is None and not config.custom_strategy:
        config = by_strategy(config, name)
    return replace(workflow, config=config, tasks=tuple(_task(task, pool, name) for task in workflow.tasks))


def _task(task: Task, pool: str, name: str) -> Task:
    if task.workflow is None:
        return task
    return replace(task, workflow=with_default_strategy(task.workflow, pool, name))
