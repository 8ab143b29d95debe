"""What is left of an execution that runs, as a workflow of its own that begins now.

What has ended is gone, and nothing waits for it any more. What runs begins at
once and before anything else, for the rest of its time; all others begin behind a gate that takes
none. Items of a map that are no tasks yet are made like those that are.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from talka_core.forecast.model import Prediction
from talka_core.scheduler.state import ExecutionRecord
from talka_core.simulation import grown
from talka_protocols.policies import Join
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus
from talka_protocols.workflow import Dependency, Task, Workflow

GATE = ":now"
TAIL = 0.25
"""How much longer an attempt is expected to run at most that ran longer than any on record, as a share."""

LEAST_S = 0.001

_BEGUN = (TaskStatus.SCHEDULED, TaskStatus.RUNNING, TaskStatus.WAITING)


class Rest(Struct, frozen=True):
    """What is left, how long its tasks have run, and how much longer waits will take (seconds, by id)."""

    workflow: Workflow
    elapsed: dict[str, float]
    waits: dict[str, float]

    def drawn(self, task_id: str, found: Prediction, share: float, drift_share: float) -> float:
        """Return the rest of a task's time, drawn from its prediction and longer than it has run."""
        elapsed = self.elapsed.get(task_id, 0.0)
        if elapsed <= 0:
            return found.drawn(share, drift_share)
        under = found.share_under(elapsed, drift_share)
        whole = found.drawn(under + (1 - under) * share, drift_share)
        return whole - elapsed if whole > elapsed else TAIL * share * elapsed


def rest_of(state: ExecutionRecord, now_ms: int) -> Rest:
    """Return what is left of an execution at an instant (milliseconds since the epoch)."""
    whole = _with_all_items(state, grown(state))
    left = [task for task in whole.tasks if not _is(state, task.id, *FINAL_TASK_STATUSES)]
    begun = {task.id for task in left if _is(state, task.id, *_BEGUN) and task.id not in state.maps}
    needs = _needs(state, whole, {task.id for task in left})
    passed_s = max(0, now_ms - state.started_at) / 1000 if state.started_at else 0.0
    tasks = [Task(GATE, "wait", payload={"seconds": 0})]
    edges: list[Dependency] = []
    for task in left:
        join, sources = _rest_of_join(task, *needs[task.id])
        if task.id in begun:
            sources = ()
        elif not sources:
            join, sources = Join.ALL, (GATE,)
        edges += [Dependency(source, task.id) for source in sources]
        join = join if sources else Join.ALL
        tasks.append(replace(task, join=join, deadline=_left_of(task.deadline, passed_s)))
    most = max(whole.constraints.max_tasks, len(tasks))
    return Rest(
        replace(
            whole,
            tasks=tuple(tasks),
            dependencies=tuple(edges),
            config=replace(whole.config, deadline=_left_of(whole.config.deadline, passed_s)),
            constraints=replace(whole.constraints, max_tasks=most),
        ),
        {
            task_id: (now_ms - state.tasks[task_id].started_at) / 1000
            for task_id in begun
            if _ran(state, task_id)
        },
        {
            task.id: max(0, state.tasks[task.id].due_at - now_ms) / 1000
            for task in left
            if task.id in begun and task.agent_type == "wait" and state.tasks[task.id].due_at
        },
    )


def _left_of(deadline: float | None, passed_s: float) -> float | None:
    """Return a deadline as seen from now; one that has passed is due at once."""
    return None if deadline is None else max(LEAST_S, deadline - passed_s)


def _is(state: ExecutionRecord, task_id: str, *statuses: TaskStatus) -> bool:
    return task_id in state.tasks and state.tasks[task_id].status in statuses


def _ran(state: ExecutionRecord, task_id: str) -> bool:
    return state.tasks[task_id].started_at > 0


def _needs(state: ExecutionRecord, whole: Workflow, left: set[str]) -> dict[str, tuple[tuple[str, ...], int]]:
    """Return by task what it still needs, and how much of what it needed has succeeded."""
    needs: dict[str, list[str]] = {task_id: [] for task_id in left}
    met = dict.fromkeys(left, 0)
    for edge in whole.dependencies:
        if edge.to_task in left and edge.from_task in left:
            needs[edge.to_task].append(edge.from_task)
        elif edge.to_task in left:
            met[edge.to_task] += _is(state, edge.from_task, TaskStatus.SUCCEEDED)
    return {task_id: (tuple(needs[task_id]), met[task_id]) for task_id in left}


def _rest_of_join(task: Task, sources: tuple[str, ...], met: int) -> tuple[Join | int, tuple[str, ...]]:
    if task.join in (Join.ALL, Join.DONE):
        return task.join, sources
    wanted = (1 if isinstance(task.join, Join) else task.join) - met
    if wanted <= 0 or not sources:
        return Join.ALL, ()
    return (task.join if isinstance(task.join, Join) else min(wanted, len(sources))), sources


def _with_all_items(state: ExecutionRecord, workflow: Workflow) -> Workflow:
    """Return the workflow with those items of its maps, too, that have not joined the graph yet."""
    tasks, edges = list(workflow.tasks), list(workflow.dependencies)
    known = {task.id: task for task in tasks}
    for map_id, progress in state.maps.items():
        made = [known[task_id] for task_id in state.index.items.get(map_id, ()) if task_id in known]
        if not made or _is(state, map_id, *FINAL_TASK_STATUSES):
            continue
        for number in range(progress.added, progress.items):
            item = replace(made[0], id=f"{map_id}[{number}]")
            tasks.append(item)
            edges.append(Dependency(item.id, map_id))
    return replace(workflow, tasks=tuple(tasks), dependencies=tuple(edges))
