"""The task graph: order, stages, critical path, slack and bounds.

Everything but the naming of cycles is plain arithmetic over integer indexes,
because importing networkx takes half a second and a valid workflow never
needs it. Ties are always broken by the order of the document, so the same
workflow gives the same answers everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from talka_core.limits import SECONDS_MAX
from talka_core.payloads import KINDS
from talka_protocols.policies import Join
from talka_protocols.workflow import ExecutionPlan, ResourceRequirements, Task, Workflow

DEFAULT_TASK_SECONDS = 1.0
SLOTS = "slots"
"""The name under which a capacity counts tasks at once, whatever they require."""

FIXED_RESOURCES = ("cpu_cores", "memory_mb", "disk_mb", "network_bandwidth_mbps", "gpu_count")


class CyclicGraphError(ValueError):
    """The edges form a cycle; ``cycle`` names it, first and last task being the same."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(cycle))
        self.cycle = cycle


class TaskGraph:
    """Tasks by index in document order, with what each needs and what needs it.

    Edges must join known ids; more than one edge between two tasks counts once.
    """

    __slots__ = ("ids", "index", "predecessors", "successors")

    def __init__(self, ids: Iterable[str], edges: Iterable[tuple[str, str]]) -> None:
        self.ids = tuple(ids)
        self.index = {task_id: position for position, task_id in enumerate(self.ids)}
        self.successors: list[list[int]] = [[] for _ in self.ids]
        self.predecessors: list[list[int]] = [[] for _ in self.ids]
        for source, target in dict.fromkeys(edges):
            source_index, target_index = self.index[source], self.index[target]
            self.successors[source_index].append(target_index)
            self.predecessors[target_index].append(source_index)

    @classmethod
    def of(cls, workflow: Workflow) -> TaskGraph:
        """Return the graph of a workflow whose dependencies are complete."""
        edges = ((edge.from_task, edge.to_task) for edge in workflow.dependencies)
        return cls((task.id for task in workflow.tasks), edges)

    def levels(self) -> list[list[int]]:
        """Return the topological levels: each task stands one after its latest predecessor.

        Raises:
            CyclicGraphError: The edges form a cycle.
        """
        missing = [len(needed) for needed in self.predecessors]
        level = [position for position, count in enumerate(missing) if not count]
        levels: list[list[int]] = []
        while level:
            levels.append(level)
            following: list[int] = []
            for position in level:
                for successor in self.successors[position]:
                    missing[successor] -= 1
                    if not missing[successor]:
                        following.append(successor)
            level = sorted(following)
        if any(missing):
            raise CyclicGraphError(self._name_cycle([p for p, count in enumerate(missing) if count]))
        return levels

    def downstream(self, task_ids: Iterable[str]) -> frozenset[str]:
        """Return everything that directly or indirectly needs one of ``task_ids``, themselves excluded."""
        return self._reach(task_ids, self.successors)

    def upstream(self, task_ids: Iterable[str]) -> frozenset[str]:
        """Return everything that one of ``task_ids`` directly or indirectly needs, themselves excluded."""
        return self._reach(task_ids, self.predecessors)

    def _reach(self, task_ids: Iterable[str], neighbours: Sequence[Sequence[int]]) -> frozenset[str]:
        start = {self.index[task_id] for task_id in task_ids}
        seen, frontier = set(start), list(start)
        while frontier:
            for neighbour in neighbours[frontier.pop()]:
                if neighbour not in seen:
                    seen.add(neighbour)
                    frontier.append(neighbour)
        return frozenset(self.ids[position] for position in seen - start)

    def _name_cycle(self, suspects: Sequence[int]) -> tuple[str, ...]:
        """Return a shortest cycle through the earliest task that lies on one."""
        # Imported here because only a refused workflow pays for it.
        import networkx as nx  # noqa: PLC0415

        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(suspects)
        within = set(suspects)
        for position in suspects:
            graph.add_edges_from((position, s) for s in self.successors[position] if s in within)
        for component in sorted(nx.strongly_connected_components(graph), key=min):
            first = min(component)
            if first in graph[first]:
                return (self.ids[first], self.ids[first])
            if len(component) > 1:
                ring = graph.subgraph(component)
                back = min(
                    (nx.bidirectional_shortest_path(ring, s, first) for s in sorted(ring[first])), key=len
                )
                return tuple(self.ids[position] for position in (first, *back))
        raise AssertionError("no cycle among tasks that wait for each other")


class GraphAnalysis(Struct, frozen=True):
    """What the shape and the estimated durations say, in seconds by task id.

    ``earliest_start`` and ``remaining`` are the longest paths into and out of
    a task (its own duration counts as remaining; schedulers rank by it);
    ``slack`` is how much later than that it may start without delaying the end.
    """

    stages: tuple[tuple[str, ...], ...]
    durations: dict[str, float]
    earliest_start: dict[str, float]
    remaining: dict[str, float]
    slack: dict[str, float]
    critical_path: tuple[str, ...]
    critical_seconds: float
    work_seconds: float

    @property
    def parallelism_factor(self) -> float:
        """Return the average number of tasks at once when nothing but the graph limits them."""
        if self.critical_seconds > 0:
            return self.work_seconds / self.critical_seconds
        return len(self.durations) / len(self.stages) if self.stages else 0.0


def duration_of(task: Task) -> float:
    """Return the estimated seconds of one attempt: the estimate, else what its content says, else 1."""
    if task.estimated_seconds is not None:
        return task.estimated_seconds
    if task.workflow is not None:
        return analyse(task.workflow).critical_seconds
    seconds = task.payload.get("seconds") if task.agent_type == "sleep" else None
    if isinstance(seconds, int | float) and 0 <= seconds <= SECONDS_MAX:
        return float(seconds)
    return DEFAULT_TASK_SECONDS


def analyse(workflow: Workflow, graph: TaskGraph | None = None) -> GraphAnalysis:
    """Analyse a checked workflow, whose ``graph`` may be known already; linear in tasks and dependencies.

    Raises:
        CyclicGraphError: The dependencies form a cycle.
    """
    graph = graph or TaskGraph.of(workflow)
    levels = graph.levels()
    durations = [duration_of(task) for task in workflow.tasks]
    starts, remaining = _longest_paths(graph, levels, durations)
    critical = max(remaining, default=0.0)
    ids = graph.ids
    return GraphAnalysis(
        stages=tuple(tuple(ids[position] for position in level) for level in levels),
        durations=dict(zip(ids, durations, strict=True)),
        earliest_start=dict(zip(ids, starts, strict=True)),
        remaining=dict(zip(ids, remaining, strict=True)),
        slack={
            task_id: max(0.0, critical - start - rest)
            for task_id, start, rest in zip(ids, starts, remaining, strict=True)
        },
        critical_path=_critical_path(graph, levels, remaining),
        critical_seconds=critical,
        work_seconds=sum(durations),
    )


def plan(workflow: Workflow, capacity: Mapping[str, float] | None = None) -> ExecutionPlan:
    """Plan a checked workflow.

    Args:
        workflow: With complete dependencies, as ``validation.check`` returns it.
        capacity: The amounts that the whole pool offers by resource name;
            ``slots`` limits tasks at once. Resources not named are unlimited.

    Returns:
        The plan; ``estimated_duration`` is the critical path, ``resource_requirements``
        the peak that holds when every task starts as early as the graph allows.

    Raises:
        CyclicGraphError: The dependencies form a cycle.
    """
    analysis = analyse(workflow)
    return ExecutionPlan(
        stages=analysis.stages,
        critical_path=analysis.critical_path,
        estimated_duration=analysis.critical_seconds,
        parallelism_factor=analysis.parallelism_factor,
        resource_requirements=_peak_requirements(workflow, analysis),
        lower_bound=lower_bound(workflow, analysis, capacity),
    )


def lower_bound(
    workflow: Workflow, analysis: GraphAnalysis, capacity: Mapping[str, float] | None = None
) -> float:
    """Return seconds below which no run ends in which every task runs once for its estimate and succeeds.

    That is the critical path, or work over capacity. ``max_parallel`` counts as
    a capacity of tasks at once; tasks that no worker runs hold nothing. A
    capacity of zero that something needs gives infinity: it never ends.
    """
    limits = dict(capacity or {})
    if workflow.config.max_parallel is not None:
        limits[SLOTS] = min(workflow.config.max_parallel, limits.get(SLOTS, float("inf")))
    longest, stoppable = _joined(workflow, analysis)
    work = dict.fromkeys(limits, 0.0)
    for task in workflow.tasks if limits else ():
        if task.agent_type in KINDS or task.id in stoppable:
            continue
        seconds = analysis.durations[task.id]
        if SLOTS in work:
            work[SLOTS] += seconds
        for name, amount in task.resources.amounts().items():
            if name in work:
                work[name] += seconds * amount
    loads = (need / limits[name] if limits[name] > 0 else float("inf") for name, need in work.items() if need)
    return max(longest, *loads, 0.0)


def _joined(workflow: Workflow, analysis: GraphAnalysis) -> tuple[float, frozenset[str]]:
    """Return the longest path that joins leave, and the tasks that may be stopped on the way.

    A task that needs some of its dependencies waits for the soonest of them
    only; all before one that starts with the first success may be cancelled then.
    """
    needed = {
        task.id: 1 if isinstance(task.join, Join) else task.join
        for task in workflow.tasks
        if task.join not in (Join.ALL, Join.DONE)
    }
    if not needed:
        return analysis.critical_seconds, frozenset()
    graph = TaskGraph.of(workflow)
    races = (task.id for task in workflow.tasks if task.join is Join.FIRST)
    stoppable = frozenset[str]().union(*(graph.upstream((race,)) for race in races))
    ends: dict[str, float] = {}
    for task_id in (task_id for stage in analysis.stages for task_id in stage):
        before = sorted(ends[graph.ids[position]] for position in graph.predecessors[graph.index[task_id]])
        waited = before[: needed.get(task_id, len(before))]
        ends[task_id] = max(waited, default=0.0) + analysis.durations[task_id]
    return max((end for task_id, end in ends.items() if task_id not in stoppable), default=0.0), stoppable


def _longest_paths(
    graph: TaskGraph, levels: Sequence[Sequence[int]], durations: Sequence[float]
) -> tuple[list[float], list[float]]:
    starts = [0.0] * len(graph.ids)
    remaining = list(durations)
    for level in levels:
        for position in level:
            end = starts[position] + durations[position]
            for successor in graph.successors[position]:
                starts[successor] = max(starts[successor], end)
    for level in reversed(levels):
        for position in level:
            longest = max((remaining[s] for s in graph.successors[position]), default=0.0)
            remaining[position] = durations[position] + longest
    return starts, remaining


def _critical_path(
    graph: TaskGraph, levels: Sequence[Sequence[int]], remaining: Sequence[float]
) -> tuple[str, ...]:
    path: list[str] = []
    candidates: Sequence[int] = levels[0] if levels else ()
    while candidates:
        position = max(candidates, key=lambda p: (remaining[p], -p))
        path.append(graph.ids[position])
        candidates = graph.successors[position]
    return tuple(path)


def _peak_requirements(workflow: Workflow, analysis: GraphAnalysis) -> ResourceRequirements:
    """Return the highest total per resource when every task starts as early as it can."""
    changes: dict[str, list[tuple[float, int, float]]] = {}
    for task in workflow.tasks:
        start = analysis.earliest_start[task.id]
        end = start + analysis.durations[task.id]
        for name, amount in task.resources.amounts().items():
            # At one instant what ends frees before what starts takes, except for a task of no length.
            changes.setdefault(name, []).extend(
                ((start, 1, amount), (end, 2 if end == start else 0, -amount))
            )
    peaks: dict[str, float] = {}
    for name, steps in changes.items():
        held = peak = 0.0
        for _, _, amount in sorted(steps):
            held += amount
            peak = max(peak, held)
        peaks[name] = peak
    custom = {name: peak for name, peak in sorted(peaks.items()) if name not in FIXED_RESOURCES}
    return ResourceRequirements(
        cpu_cores=peaks.get("cpu_cores", 0.0),
        memory_mb=peaks.get("memory_mb", 0.0),
        disk_mb=peaks.get("disk_mb", 0.0),
        network_bandwidth_mbps=peaks.get("network_bandwidth_mbps", 0.0),
        gpu_count=round(peaks.get("gpu_count", 0.0)),
        custom_resources=custom,
    )
