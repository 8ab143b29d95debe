"""What follows from a workflow alone: successors, ranks, amounts and references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from talka_core.conditions import RESULT, Condition, loop_text, parse, paths_of
from talka_core.dataflow import loop_references_of, references_of, references_of_fallback
from talka_core.gangs import gangs_of
from talka_core.graph import TaskGraph, analyse, duration_of
from talka_core.keys import amounts_of
from talka_core.references import Reference
from talka_core.strategies import Position, Rank, Ranking, latest_of, rank_beside, ranks_of, strategy_of
from talka_protocols.baseline import Baseline
from talka_protocols.events import TasksAdded
from talka_protocols.policies import Join
from talka_protocols.workflow import Strategy, Task, Workflow

MAP = "map"
EXTENSION = "extension"
"""Why tasks were added, and what a task waits for: the items of a map, or the answer to what it adds."""


class WorkflowIndex(Struct):
    """Look-ups by task id; empty before the workflow is known.

    ``references`` are those in a task's own definition; ``extracts`` are the
    paths, by text, of the references and conditions that look at its result.
    ``joins`` holds only those that are not ``all``, ``conditions`` those of
    tasks that have one. ``items`` are the tasks that a map became, and ``maps``
    where each of them came from. ``originals`` are tasks in whose place their
    fallbacks stand. ``gangs`` are the members of each gang, and ``ganged`` the
    gang of each member. ``links`` are the tasks whose resources a task takes over by
    the baseline schedule. ``latest`` are the seconds from the beginning by which
    tasks have to start, where the strategy looks at deadlines.
    """

    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    originals: dict[str, Task] = field(default_factory=dict[str, Task])
    successors: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    predecessors: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    positions: dict[str, Position] = field(default_factory=dict[str, Position])
    ranking: Ranking = Ranking(Strategy.PRIORITY)
    ranks: dict[str, Rank] = field(default_factory=dict[str, Rank])
    joins: dict[str, Join | int] = field(default_factory=dict[str, "Join | int"])
    conditions: dict[str, Condition] = field(default_factory=dict[str, Condition])
    items: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    maps: dict[str, str] = field(default_factory=dict[str, str])
    groups: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    gangs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    ganged: dict[str, str] = field(default_factory=dict[str, str])
    links: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    latest: dict[str, float] = field(default_factory=dict[str, float])
    amounts: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    references: dict[str, Sequence[Reference]] = field(default_factory=dict[str, Sequence[Reference]])
    extracts: dict[str, dict[str, tuple[str, ...]]] = field(
        default_factory=dict[str, dict[str, tuple[str, ...]]]
    )


def index_of(
    workflow: Workflow, ranking: Ranking | None = None, baseline: Baseline | None = None
) -> WorkflowIndex:
    """Derive the index of a workflow that has been checked, so its graph has no cycle.

    Its tasks are ranked as it says itself, unless another ``ranking`` holds, and by the leads of
    its ``baseline`` in place of the ways to the end.
    """
    ranking = ranking or Ranking(strategy_of(workflow.config))
    graph = TaskGraph.of(workflow)
    ids = graph.ids
    positions = _positions(workflow, graph, baseline)
    index = WorkflowIndex(
        tasks={task.id: task for task in workflow.tasks},
        successors={ids[i]: [ids[j] for j in found] for i, found in enumerate(graph.successors)},
        predecessors={ids[i]: [ids[j] for j in found] for i, found in enumerate(graph.predecessors)},
        positions=positions,
        ranking=ranking,
        ranks=ranks_of(workflow, positions, ranking),
        latest=latest_of(workflow, ranking),
        joins={task.id: task.join for task in workflow.tasks if task.join is not Join.ALL},
        amounts={task.id: amounts_of(task) for task in workflow.tasks},
    )
    for before, after in baseline.links if baseline else ():
        index.links.setdefault(ids[after], []).append(ids[before])
    for task in workflow.tasks:
        if task.group:
            index.groups.setdefault(task.group, []).append(task.id)
    _take_gangs(index, workflow.tasks)
    _find_references(index, workflow.tasks)
    return index


def extend(index: WorkflowIndex, workflow: Workflow, addition: TasksAdded) -> None:
    """Take added tasks and dependencies in; a task is ranked like the one that it came from."""
    origin = index.positions.get(addition.by)
    for task in addition.tasks:
        index.tasks[task.id] = task
        index.successors[task.id], index.predecessors[task.id] = [], []
        index.amounts[task.id] = amounts_of(task)
        if task.join is not Join.ALL:
            index.joins[task.id] = task.join
        seconds = duration_of(task)
        place = origin or Position(0, seconds, 0.0, 0)
        index.positions[task.id] = Position(place.level, place.remaining, place.slack, len(index.tasks))
        index.ranks[task.id] = rank_beside(
            workflow, task, index.positions[task.id], index.ranking, index.ranks.get(addition.by)
        )
        _take_latest(index, task.id, addition.by)
    _take_gangs(index, addition.tasks, f"{addition.by}/")
    if addition.reason == MAP:
        index.items.setdefault(addition.by, []).extend(task.id for task in addition.tasks)
        index.maps |= {task.id: addition.by for task in addition.tasks}
    for edge in addition.dependencies:
        index.successors[edge.from_task].append(edge.to_task)
        index.predecessors[edge.to_task].append(edge.from_task)
    _find_references(index, addition.tasks)


def _take_latest(index: WorkflowIndex, task_id: str, by: str) -> None:
    """Let an added task be as urgent as the one that it came from."""
    if by in index.latest:
        index.latest[task_id] = index.latest[by]


def _take_gangs(index: WorkflowIndex, tasks: Sequence[Task], by: str = "") -> None:
    """Remember who belongs together; a gang that was added is none that there was before."""
    for name, members in gangs_of(tasks).items():
        index.gangs[by + name] = members
        index.ganged |= dict.fromkeys(members, by + name)


def rank_anew(
    index: WorkflowIndex, workflow: Workflow, ranking: Ranking, additions: Iterable[TasksAdded]
) -> None:
    """Rank all tasks by another strategy, priority or order."""
    index.ranking = ranking
    index.ranks = ranks_of(workflow, index.positions, ranking)
    index.latest = latest_of(workflow, ranking)
    for addition in additions:
        for task in addition.tasks:
            index.ranks[task.id] = rank_beside(
                workflow, task, index.positions[task.id], ranking, index.ranks.get(addition.by)
            )
            _take_latest(index, task.id, addition.by)


def fall_back(index: WorkflowIndex, task_id: str) -> None:
    """Let the task's fallback stand in its place; what it needs, holds and is ranked by stays as it was."""
    task = index.tasks[task_id]
    action = task.fallback
    assert action is not None, "only a task that has a fallback falls back"
    index.originals[task_id] = task
    index.tasks[task_id] = replace(
        task,
        agent_type=action.agent_type,
        payload=action.payload,
        timeout=task.timeout if action.timeout_seconds is None else action.timeout_seconds,
        retries=action.retries,
        fallback=None,
        # The action is other work, which may know of no heartbeats.
        heartbeat_timeout=None,
        is_preemptible=False,
    )
    index.references[task_id] = _own_references(index, index.tasks[task_id])


def take_back(index: WorkflowIndex, task_id: str) -> None:
    """Let the task be what it was before it fell back."""
    index.tasks[task_id] = index.originals.pop(task_id)
    index.references[task_id] = _own_references(index, index.tasks[task_id])


def _positions(workflow: Workflow, graph: TaskGraph, baseline: Baseline | None) -> dict[str, Position]:
    analysis = analyse(workflow, graph)
    remaining = analysis.remaining
    if baseline is not None:
        remaining = dict(zip(remaining, baseline.leads, strict=True))
    levels = {task_id: level for level, stage in enumerate(analysis.stages) for task_id in stage}
    return {
        task.id: Position(levels[task.id], remaining[task.id], analysis.slack[task.id], i)
        for i, task in enumerate(workflow.tasks)
    }


def _find_references(index: WorkflowIndex, tasks: Iterable[Task]) -> None:
    for task in tasks:
        found = _own_references(index, task)
        if found:
            index.references[task.id] = found
        for reference in (*found, *references_of_fallback(task, index.tasks)):
            if reference.task_id is not None:
                index.extracts.setdefault(reference.task_id, {})[reference.text] = reference.path
        if task.when:
            _find_mentions(index, task)
        if task.loop is not None:
            for path in paths_of(task.loop.until, RESULT):
                index.extracts.setdefault(task.id, {})[loop_text(path)] = path


def _own_references(index: WorkflowIndex, task: Task) -> Sequence[Reference]:
    found = references_of(task, index.tasks)
    return (*found, *loop_references_of(task)) if task.loop is not None else found


def _find_mentions(index: WorkflowIndex, task: Task) -> None:
    condition = index.conditions[task.id] = parse(task.when, index.tasks)
    for mention in condition.mentions:
        if mention.path is not None:
            index.extracts.setdefault(mention.task_id, {})[mention.text] = mention.path
