"""What follows from a workflow alone: successors, ranks, amounts and references."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from talka_core.graph import TaskGraph, analyse
from talka_core.references import Reference, find_references
from talka_core.strategies import Position, Rank, rank
from talka_protocols.workflow import Task, Workflow


class WorkflowIndex(Struct):
    """Look-ups by task id; empty before the workflow is known.

    ``references`` are those in a task's own payload; ``extracts`` are the
    paths, by text, of the references that others make to its result.
    """

    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    successors: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    predecessors: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    ranks: dict[str, Rank] = field(default_factory=dict[str, Rank])
    amounts: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    references: dict[str, Sequence[Reference]] = field(default_factory=dict[str, Sequence[Reference]])
    extracts: dict[str, dict[str, tuple[str, ...]]] = field(
        default_factory=dict[str, dict[str, tuple[str, ...]]]
    )


def index_of(workflow: Workflow) -> WorkflowIndex:
    """Derive the index of a workflow that has been checked, so its graph has no cycle."""
    graph = TaskGraph.of(workflow)
    ids = graph.ids
    index = WorkflowIndex(
        tasks={task.id: task for task in workflow.tasks},
        successors={ids[i]: [ids[j] for j in found] for i, found in enumerate(graph.successors)},
        predecessors={ids[i]: [ids[j] for j in found] for i, found in enumerate(graph.predecessors)},
        ranks=_ranks(workflow),
        amounts={task.id: task.resources.amounts() for task in workflow.tasks},
    )
    _find_references(index)
    return index


def _ranks(workflow: Workflow) -> dict[str, Rank]:
    analysis = analyse(workflow)
    levels = {task_id: level for level, stage in enumerate(analysis.stages) for task_id in stage}
    strategy = workflow.config.strategy
    return {
        task.id: rank(
            strategy, task, Position(levels[task.id], analysis.remaining[task.id], analysis.slack[task.id], i)
        )
        for i, task in enumerate(workflow.tasks)
    }


def _find_references(index: WorkflowIndex) -> None:
    for task_id, task in index.tasks.items():
        found = find_references(task.payload, index.tasks)
        if found:
            index.references[task_id] = found
        for reference in found:
            if reference.task_id is not None:
                index.extracts.setdefault(reference.task_id, {})[reference.text] = reference.path
