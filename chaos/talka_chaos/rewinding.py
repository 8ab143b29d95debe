"""Going back and running again: what clients ask for, and the rules that a history then keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_core.graph import TaskGraph
from talka_core.scheduler.names import COMPENSATION, UNDO, undone_by
from talka_protocols import events as e
from talka_protocols.messages import RestartExecution, RollBackExecution
from talka_protocols.policies import Action, Then
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Task, Workflow

SHARE = 0.4
"""The share of workflows of other kinds that can be undone."""

OUTCOMES = (e.TaskSucceeded, e.TaskFailed, e.TaskTimedOut, e.TaskCancelled, e.TaskSkipped, e.TaskAdopted)


def undoable(random: Random, workflow: Workflow) -> Workflow:
    """Let most tasks have compensations, a few be irreversible, some form a group, and none save anything."""
    is_grouping = random.random() < 0.4
    return replace(workflow, tasks=tuple(_undoable(random, task, is_grouping) for task in workflow.tasks))


def with_more_undoable(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let some workflows of every kind be undoable, with their sub-workflows; no other draw depends on it."""
    random = Random(f"undo {seed}")  # noqa: S311  (the same for the same seed is the point)
    return [
        _all_undoable(random, workflow) if random.random() < SHARE and not can_go_back(workflow) else workflow
        for workflow in workflows
    ]


def can_go_back(workflow: Workflow) -> bool:
    """Tell whether anything in the workflow or in its sub-workflows can be undone."""
    return any(
        task.compensation is not None or (task.workflow is not None and can_go_back(task.workflow))
        for task in workflow.tasks
    )


def _all_undoable(random: Random, workflow: Workflow) -> Workflow:
    is_grouping = random.random() < 0.2
    tasks = [_undoable(random, task, is_grouping) for task in workflow.tasks]
    return replace(
        workflow,
        tasks=tuple(
            task if task.workflow is None else replace(task, workflow=_all_undoable(random, task.workflow))
            for task in tasks
        ),
    )


def _undoable(random: Random, task: Task, is_grouping: bool) -> Task:
    payload = {name: value for name, value in task.payload.items() if name not in ("saves", "writes")}
    task = replace(task, payload=payload, fallback=None)
    drawn = random.random()
    if task.agent_type != AGENT_TYPE or drawn < 0.2:
        return task
    if drawn < 0.3:
        return replace(task, is_irreversible=True)
    group = "g" if is_grouping and not task.dependencies and random.random() < 0.5 else ""
    return replace(task, compensation=Action(AGENT_TYPE, retries=4), group=group)


def requests(
    random: Random, workflow: Workflow, at_s: float
) -> Iterator[tuple[float, RollBackExecution | RestartExecution]]:
    """Yield when what is asked for: to go back to some event, and to run again what did not succeed."""
    moment = at_s
    for number in range(random.choice((1, 1, 2, 3))):
        moment += random.uniform(1.0, 20.0)
        request_id = f"drawn-{number}"
        if random.random() < 0.7:
            then = random.choice((Then.CONTINUE, Then.CONTINUE, Then.STOP))
            to = random.choice((1, random.randint(1, 15), random.randint(1, 8 * len(workflow.tasks))))
            yield moment, RollBackExecution(workflow.id, to, "", then, True, request_id)
        else:
            yield moment, RestartExecution(workflow.id, request_id=request_id)


class Rewinding:
    """U1 what needed a task is undone before it; U2 no attempt is made twice; O1 one outcome a round."""

    def __init__(self, log: LogName) -> None:
        self._log = log
        self._graph: TaskGraph | None = None
        self._going: tuple[str, ...] = ()
        self._waiting: dict[str, None] = {}
        self._newest: Counter[str] = Counter()
        self._expired: list[str] = []
        self._is_expiring = False
        self._unwanted: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.is_partial = False

    def take(self, event: Any) -> Iterator[str]:
        """Take the next event and yield what is wrong with it."""
        match event:
            case e.ExecutionAccepted() if event.workflow is not None:
                self._graph = TaskGraph.of(event.workflow)
            case e.RollbackStarted():
                self._going, self.is_partial = event.tasks, False
                self._expired, self._is_expiring = [], False
                self._forget(name for name in self._waiting if undone_by(name) in event.tasks)
            case e.ExecutionRolledBack():
                self.is_partial = event.then is Then.STOP
                self._forget(() if self.is_partial else self._going)
            case e.RollbackFailed():
                self.is_partial = True
            case e.ExecutionRestarted():
                self.is_partial = False
                self._expired, self._is_expiring = [], False
                self._forget(event.tasks)
            case e.TaskUnwanted():
                self._unwanted.add(event.task_id)
            case e.ExecutionTimeoutReached():
                self._is_expiring = True
            case e.ExecutionResumed() if self._is_expiring:
                self._forget(self._expired)
                self._expired, self._is_expiring = [], False
            case e.TasksAdded() if event.reason == COMPENSATION:
                self._waiting |= dict.fromkeys(task.id for task in event.tasks)
            case e.TaskScheduled():
                yield from self._scheduled(event)
            case _ if isinstance(event, OUTCOMES):
                self._ended(event)
            case _:
                pass

    def _ended(self, event: Any) -> None:
        self.outcomes[event.task_id] += 1
        if isinstance(event, e.TaskSucceeded):
            self._waiting.pop(event.task_id, None)
        is_expired = self._is_expiring and isinstance(event, e.TaskCancelled) and not event.because
        # A compensation stays as it is, until a restart or a rollback.
        if is_expired and event.task_id not in self._unwanted and not undone_by(event.task_id):
            self._expired.append(event.task_id)

    def _forget(self, tasks: Any) -> None:
        for task_id in list(tasks):
            self.outcomes.pop(task_id, None)
            self._unwanted.discard(task_id)

    def _scheduled(self, event: e.TaskScheduled) -> Iterator[str]:
        if event.attempt <= self._newest[event.task_id]:
            yield f"U2 {self._log}: attempt {event.attempt} of {event.task_id} is made a second time"
        self._newest[event.task_id] = event.attempt
        if not event.task_id.startswith(UNDO) or self._graph is None:
            return
        behind = self._graph.downstream(_known(self._graph, undone_by(event.task_id)))
        if early := [n for n in self._waiting if undone_by(n).partition("[")[0] in behind]:
            yield f"U1 {self._log}: {event.task_id} was scheduled before {early}"


def _known(graph: TaskGraph, task_id: str) -> list[str]:
    """Return the task of the definition that a task is an item of, or itself; none for one that was added."""
    return [name for name in (task_id.partition("[")[0],) if name in graph.index]
