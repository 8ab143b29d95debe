"""A model whose tasks act on an outside system, and graphs of every kind whose effects can be undone."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE, random_workflow
from talka_chaos.model import NULL, Model, Run
from talka_chaos.sink import Sink
from talka_core.history import FOLDS, apply
from talka_core.scheduler.forking import origin_of
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Task, Workflow

SCHEDULER = (Recipient.SCHEDULER, "e")


def with_effects(random: Random, workflow: Workflow) -> Workflow:
    """Let most tasks act on the sink so that it can be undone, some so that it cannot, some not at all."""
    return replace(workflow, tasks=tuple(_acting(random, task) for task in workflow.tasks))


def of_all_kinds(random: Random, workflow: Workflow, depth: int = 1) -> Workflow:
    """Let some tasks be maps, and some sub-workflows that act in the same way."""
    tasks = [_of_some_kind(random, task, depth) for task in workflow.tasks]
    return with_effects(random, replace(workflow, tasks=tuple(tasks)))


def _of_some_kind(random: Random, task: Task, depth: int) -> Task:
    drawn = random.random()
    if drawn < 0.2:
        items = list(range(random.choice((1, 2, 4))))
        parallel, tolerated = random.choice((None, 1, 2)), random.choice((0, 1))
        rule = MapOver(items, max_parallel=parallel, tolerated_failures=tolerated)
        return replace(task, map=rule, payload={"item": "${item}"})
    if drawn < 0.4 and depth:
        child = of_all_kinds(random, random_workflow(random, "child", random.choice((1, 2, 4))), depth - 1)
        task = replace(task, agent_type="workflow", payload={}, fallback=None, workflow=child)
        return replace(task, retries=random.choice((0, 1)))
    return task


def _acting(random: Random, task: Task) -> Task:
    drawn = random.random()
    if task.agent_type != AGENT_TYPE:
        return task
    if drawn < 0.7:
        return replace(task, compensation=Action(AGENT_TYPE, retries=1000))
    return replace(task, is_irreversible=drawn < 0.8)


class Acting(Model):
    """A model whose attempts act on a sink when they succeed, and perhaps where they are stopped or lost."""

    def __init__(self, random: Random, workflow: Workflow) -> None:
        self.random = random
        self.sink = Sink()
        self.starts: dict[Run, m.StartTask] = {}
        self.ghosts: list[Run] = []
        self.needed = {edge.to_task: set[str]() for edge in workflow.dependencies}
        for edge in workflow.dependencies:
            self.needed[edge.to_task].add(edge.from_task)
        super().__init__({"w1": 3.3, "w2": 3.3})
        self.submit(workflow)

    @property
    def execution(self) -> Any:
        """Return the execution's state."""
        return self.players[SCHEDULER].state if SCHEDULER in self.players else None

    def submit_fork(self, name: str, origin: Any) -> None:
        """Ask for a fork of the execution as it was in a state."""
        self._post(Recipient.PLANNER, m.SubmitWorkflow(name, origin.workflow, origin=origin_of(origin)))

    def _perform(self, player: Any, effects: Any) -> None:
        effects = list(effects)
        for effect in effects:
            if hasattr(effect, "start"):
                start = effect.start
                run = (player.key, start.execution_id, start.task.id, start.attempt)
                self.starts.setdefault(run, start)
        super()._perform(player, effects)

    def act(self, run: Run) -> None:
        """Let an attempt do what it does, if it does anything."""
        start = self.starts[run]
        task, execution_id = start.task, start.execution_id
        if task.id.startswith("undo:"):
            task_id = task.id.split(":")[1]
        elif task.compensation is not None or task.is_irreversible:
            task_id = task.id
        else:
            return
        key = start.effect_key or f"{execution_id}/{task.id}"
        is_new = self.sink.act(f"{execution_id}/{task_id}", key, start.fence)
        if is_new and task.id.startswith("undo:") and execution_id == "e":
            self._check_order(task_id)

    def _check_order(self, undone: str) -> None:
        """No effect of a task that needed the undone one is left, unless it cannot be undone."""
        behind = {undone.partition("[")[0]}
        for _ in self.needed:
            behind |= {task_id for task_id, needs in self.needed.items() if needs & behind}
        behind.discard(undone.partition("[")[0])
        tasks = self.execution.index.tasks
        own = [name.removeprefix("e/") for name in self.sink.effects.values() if name.startswith("e/")]
        left = {t for t in own if t in tasks and t.partition("[")[0] in behind}
        assert not {t for t in left if tasks[t].compensation is not None}, (
            f"{undone} was undone before {left}"
        )

    def end(self, run: Run, outcome: Outcome, result: Raw = NULL, **more: Any) -> None:
        """End an attempt: a success has acted, one that was stopped may have."""
        if outcome is Outcome.SUCCEEDED and (not self.running[run] or self.random.random() < 0.5):
            self.act(run)
        super().end(run, outcome, result, **more)

    def crash_worker(self, worker_id: str) -> None:
        """Let a worker die; what ran there may act later all the same."""
        self.ghosts += [run for run in self.running if run[0] == worker_id]
        super().crash_worker(worker_id)

    # --- what may happen ---------------------------------------------------------------------------

    def happen(self) -> None:
        """Let one thing happen."""
        random, drawn = self.random, self.random.random()
        if drawn < 0.8 and self.soup:
            index = 0 if random.random() < 0.8 else random.randrange(len(self.soup))
            cut = random.randrange(4) if random.random() < 0.03 else None
            self.deliver(index, is_kept=random.random() < 0.02, cut=cut)
        elif drawn < 0.95 and self.running:
            run = random.choice(list(self.running))
            if random.random() < 0.3:
                self.begin(run)
            else:
                is_failing = random.random() < 0.15
                self.end(run, Outcome.FAILED if is_failing else Outcome.SUCCEEDED)
        elif drawn > 0.99:
            self.mishap()
        elif not self.soup:
            self.remind()

    def mishap(self) -> None:
        """Let something go wrong."""
        random = self.random
        match random.randrange(4):
            case 0:
                self.crash_worker(random.choice(("w1", "w2")))
            case 1:
                self.silence(random.choice(("w1", "w2")))
            case 2 if SCHEDULER in self.players:
                self.crash(*random.choice([player for player in self.players if player[0] is SCHEDULER[0]]))
            case _ if self.ghosts:
                self.act(self.ghosts.pop(random.randrange(len(self.ghosts))))
            case _:
                pass

    def remind(self) -> None:
        """Let a timer run out, and everybody repeat what is owed."""
        for timer in [timer for timer in self.timers if timer[2] != "timeout"][:1]:
            self.fire(timer)
        for player in list(self.players):
            self.resume(*player)
        self._rejoin_strangers()
        self.tell(Recipient.RESOURCE, m.Advance("default"))

    def go_back(self, stormy: int) -> None:
        """Let things happen until the rollback is over, in good order after so many of them."""
        for count in range(20_000):
            if not self.execution.is_rolling_back:
                return
            if count < stormy:
                self.happen()
            elif self.soup:
                self.deliver(0)
            elif self.running:
                self.end(next(iter(self.running)), Outcome.SUCCEEDED)
            else:
                self.remind()
        raise AssertionError("the rollback never ends")

    def at(self, version: int) -> Any:
        """Return the execution's state at an event."""
        player = self.players[SCHEDULER]
        fold = FOLDS[EXECUTION]
        commits = [decode_commit(player.name, body) for body in player.commits]
        return apply(fold, fold.initial("e"), commits, version)
