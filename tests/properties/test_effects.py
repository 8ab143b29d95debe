"""Goal: after a rollback to any event, the effects left are those of the tasks that had succeeded by then.

Method: random graphs, with maps and sub-workflows, whose tasks act on a sink that honours key and fence; with
compensations, irreversible tasks, failures, lost workers whose attempts act late, reordered messages, and
decisions cut short. Some are forked in the end, and no effect of what a fork keeps is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE, random_workflow
from talka_chaos.model import NULL, Model, Run
from talka_chaos.sink import Sink
from talka_core.history import FOLDS, apply
from talka_core.scheduler.compensation import has_acted
from talka_core.scheduler.forking import origin_of
from talka_core.scheduler.names import effect_key
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver, Then
from talka_protocols.states import ACTIVE_TASK_STATUSES, FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Task, Workflow

SCHEDULER = (Recipient.SCHEDULER, "e")
seeds = st.integers(0, 10_000_000)


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


def keys(state: Any, wanted: Callable[[str, Any], bool]) -> set[str]:
    """Return the keys of the effects of those tasks that act and are wanted."""
    tasks = state.index.tasks
    return {
        effect_key(state, task_id) or f"{state.execution_id}/{task_id}"
        for task_id, record in state.tasks.items()
        if not record.undoes
        and (tasks[task_id].map, tasks[task_id].workflow) == (None, None)
        and (tasks[task_id].compensation is not None or tasks[task_id].is_irreversible)
        and wanted(task_id, record)
    }


def keys_with_children(
    model: Acting, state: Any, wanted: Callable[[str, Any], bool], kept: Callable[[str], bool]
) -> set[str]:
    """Return the keys of an execution, and those of the sub-workflows of tasks that are ``kept``."""
    found = keys(state, wanted)
    for task_id in filter(kept, state.tasks):
        for child_id in state.tasks[task_id].children:
            child = model.players[Recipient.SCHEDULER, child_id].state
            found |= keys_with_children(model, child, wanted, _always) if child.workflow else set()
    return found


def _always(_task_id: str) -> bool:
    return True


def _succeeded(_task_id: str, record: Any) -> bool:
    return record.status is TaskStatus.SUCCEEDED


def _unclear(_task_id: str, record: Any) -> bool:
    """A task that failed for good after an attempt of it was lost: nobody knows what that one did."""
    return record.status is TaskStatus.FAILED and has_acted(record)


@settings(deadline=None, max_examples=150, derandomize=True, phases=(Phase.generate,))
@given(seeds, st.integers(1, 12), st.integers(5, 250), st.booleans())
def test_effects_after_a_rollback(seed: int, size: int, before: int, is_stopping: bool) -> None:
    """The effects left equal those of the tasks that had succeeded, plus those declared irreversible."""
    random = Random(seed)
    workflow = with_effects(random, random_workflow(random, "e", size))
    _go_back_and_on(random, workflow, before, is_stopping=is_stopping)


@settings(deadline=None, max_examples=150, derandomize=True, phases=(Phase.generate,))
@given(seeds, st.integers(1, 8), st.integers(5, 400), st.booleans())
def test_effects_after_a_rollback_of_all_kinds(seed: int, size: int, before: int, is_stopping: bool) -> None:
    """So it is with maps and sub-workflows; and a fork makes none of the effects that it keeps again."""
    random = Random(seed)
    workflow = check(of_all_kinds(random, random_workflow(random, "e", size)))
    model = _go_back_and_on(random, workflow, before, is_stopping=is_stopping)
    if model.execution is not None and model.execution.workflow is not None:
        _check_fork(model, random.randint(1, model.execution.version))


def _go_back_and_on(random: Random, workflow: Workflow, before: int, *, is_stopping: bool) -> Acting:
    model = Acting(random, workflow)
    for _ in range(before):
        model.happen()
    if model.execution is None or not model.execution.version:
        return model
    to = random.randint(1, model.execution.version)
    then = Then.STOP if is_stopping else Then.CONTINUE
    request = m.RollBackExecution("e", to=to, then=then, accepts_irreversible=True, request_id="one")
    cut = random.randrange(6) if random.random() < 0.3 else None
    model.tell(Recipient.SCHEDULER, request, cut=cut)
    model.tell(Recipient.SCHEDULER, request)
    if not model.execution.is_rolling_back:
        model.finish()
        return model
    going = model.execution.rollback
    model.go_back(random.randrange(300))
    _check_effects(model, to, frozenset(going.tasks))
    if not is_stopping:
        _check_allocations(model, to)
    model.finish()
    for ghost in model.ghosts:
        model.act(ghost)
    model.ghosts.clear()
    if is_stopping:
        _check_effects(model, to, frozenset(going.tasks))
    else:
        left, state = set(model.sink.effects), model.execution
        stands = _irreversible(model)
        unclear = keys_with_children(model, state, _unclear, _always)
        done = keys_with_children(model, state, _succeeded, _always)
        assert left - stands - unclear == done - stands
    return model


def _irreversible(model: Acting) -> set[str]:
    """Return the keys of all effects that cannot be undone, also of items that have left the graph."""
    tasks = {state.execution_id: state.index.tasks for state in model.executions}
    found: set[str] = set()
    for key, name in model.sink.effects.items():
        execution_id, task_id = name.split("/")
        if tasks[execution_id][task_id.partition("[")[0]].is_irreversible:
            found.add(key)
    return found


def _check_effects(model: Acting, to: int, tasks: frozenset[str]) -> None:
    then, left = model.at(to), set(model.sink.effects)

    def is_kept(task_id: str) -> bool:
        return task_id not in tasks and then.tasks[task_id].status in FINAL_TASK_STATUSES

    def may_stand(task_id: str, record: Any) -> bool:
        return task_id not in tasks and _unclear(task_id, record)

    wanted = keys_with_children(model, then, _succeeded, is_kept)
    stands = _irreversible(model)
    assert wanted <= left, f"gone: {wanted - left}"
    left -= keys_with_children(model, then, may_stand, is_kept)
    assert left - wanted <= stands, f"left: {left - wanted}"


def _check_fork(model: Acting, at: int) -> None:
    """What the fork keeps is not done again, and what the origin did stays."""
    origin, before = model.at(at), dict(model.sink.effects)
    try:
        kept = {adopted.task_id for adopted in origin_of(origin).tasks}
    except RequestRefusedError:
        return
    model.submit_fork("f", origin)
    model.finish()
    forked = model.players[Recipient.SCHEDULER, "f"].state
    new = {key: name for key, name in model.sink.effects.items() if key not in before}
    assert before.items() <= model.sink.effects.items()
    assert {name.removeprefix("f/") for name in new.values()}.isdisjoint(kept)
    assert kept.isdisjoint(run[2] for run in model.starts if run[1] == "f")
    done = keys_with_children(model, forked, _succeeded, lambda task_id: task_id not in kept)
    adopted = keys(forked, lambda task_id, _record: task_id in kept)
    unclear = keys_with_children(model, forked, _unclear, _always)
    assert set(new) - unclear == done - adopted


def _check_allocations(model: Acting, to: int) -> None:
    """What held something at the event asks for the same again, and the index says how much."""
    then, now = model.at(to), model.execution
    held = {t for t, r in then.tasks.items() if r.status in ACTIVE_TASK_STATUSES and not r.undoes}
    if now.status is not ExecutionState.RUNNING:
        return
    again = {t for t, r in now.tasks.items() if r.status in ACTIVE_TASK_STATUSES}
    assert held <= again, f"not asked for again: {held - again}"
    assert all(now.index.amounts[t] == then.index.amounts[t] for t in held)
