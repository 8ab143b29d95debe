"""The four behaviours closed into one loop, without a runner, a clock or a network.

Whoever drives the model chooses what happens next: which message arrives, in
which order and how often, who crashes and after which event of a decision.
After every single event the model holds the behaviours to their laws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from talka_chaos.baselines import submission_of
from talka_chaos.invariants import (
    check_execution,
    check_held,
    check_pool,
    check_strays,
)
from talka_chaos.labelled import offer_of
from talka_chaos.players import Player
from talka_core.behaviour import (
    Alert,
    ClearAlarm,
    Confirm,
    Enlist,
    Improve,
    Launch,
    Send,
    SetAlarm,
    SetTimer,
    Stop,
)
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.scheduler.state import PARKED
from talka_core.worker import WorkerRecord
from talka_protocols import messages as m
from talka_protocols.events import Saved
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

POOL_NAME = "default"
NULL = Raw(b"null")
Run = tuple[str, str, str, int]
"""Worker, execution, task, attempt."""


class Model:
    """A planner, a scheduler, a pool and workers, and every message that was ever sent."""

    def __init__(self, workers: dict[str, float]) -> None:
        self.now_ms = 1_700_000_000_000
        self.players: dict[tuple[Recipient, str], Player] = {}
        self.soup: list[tuple[Recipient, m.Message]] = []
        self.archive: list[tuple[Recipient, m.Message]] = []
        self.timers: dict[tuple[Recipient, str, str], int] = {}
        self.running: dict[Run, bool] = {}
        self.starts: dict[Run, m.StartTask] = {}
        self.confirmed: list[m.ConfirmProgress] = []
        self.searches: list[Improve] = []
        self.alerts: list[str] = []
        self.incarnations: dict[str, int] = {}
        for worker_id, cores in workers.items():
            self.start_worker(worker_id, cores)

    # --- what may happen -----------------------------------------------------------------------

    def start_worker(self, worker_id: str, cores: float) -> None:
        """Start a worker's process, or start it again after a crash: it remembers nothing."""
        state = WorkerRecord(worker_id, offer=offer_of(POOL_NAME, worker_id, 4, cores))
        self.players[Recipient.WORKER, worker_id] = Player(Recipient.WORKER, worker_id, state)
        self.running = {run: stopping for run, stopping in self.running.items() if run[0] != worker_id}
        self._enlist(worker_id)

    def crash_worker(self, worker_id: str) -> None:
        """Let a worker's process die and start anew."""
        offer = self.players[Recipient.WORKER, worker_id].state.offer
        self.start_worker(worker_id, offer.capacity["cpu_cores"])

    def submit(self, workflow: Workflow) -> None:
        """Ask for an execution under the workflow's id."""
        self._post(Recipient.PLANNER, submission_of(workflow))

    def ask(self, request: m.SchedulerMessage) -> None:
        """Let a client ask something of an execution."""
        self._post(Recipient.SCHEDULER, request)

    def deliver(self, index: int, *, is_kept: bool = False, cut: int | None = None) -> None:
        """Deliver one waiting message; a kept one is delivered again some time."""
        to, message = self.soup[index] if is_kept else self.soup.pop(index)
        self.tell(to, message, cut)

    def deliver_all(self) -> None:
        """Deliver every message, and those that they lead to, in the order in which they were sent."""
        while self.soup:
            self.deliver(0)

    def deliver_together(self, limit: int, cut: int | None = None) -> None:
        """Deliver the first messages that wait for the pool, at most so many, as one batch."""
        places = [place for place, (to, _) in enumerate(self.soup) if to is Recipient.RESOURCE][:limit]
        messages = [self.soup[place][1] for place in places]
        for place in reversed(places):
            del self.soup[place]
        if messages:
            self.tell_together(Recipient.RESOURCE, messages, cut)

    def drop(self, index: int) -> None:
        """Lose one waiting message; what a process tells itself is never lost."""
        if not isinstance(self.soup[index][1], m.Enlisted):
            del self.soup[index]

    def tell(self, to: Recipient, message: Any, cut: int | None = None) -> None:
        """Let one actor take one message; only a stored history can be cut short."""
        if to is not Recipient.CLIENT:
            self.tell_together(to, (message,), cut)

    def tell_together(self, to: Recipient, messages: Sequence[Any], cut: int | None = None) -> None:
        """Let one actor take messages for the same key that arrived together."""
        key = messages[0].key
        player = self.players.get((to, key))
        if player is None:
            player = self.players[to, key] = Player(to, key)
        stored = None if to is Recipient.WORKER else cut
        self._perform(player, player.take_together(messages, self.now_ms, stored))
        self.check(player)

    def crash(self, kind: Recipient, key: str) -> None:
        """Let an actor's process die and another one take over."""
        if kind is Recipient.WORKER:
            self.crash_worker(key)
            return
        player = self.players[kind, key]
        player.check_replay()
        self._perform(player, player.recover(self.now_ms))
        self.check(player)

    def resume(self, kind: Recipient, key: str) -> None:
        """Repeat everything that an actor owes."""
        player = self.players[kind, key]
        self._perform(player, player.behaviour.resume(player.state))

    def fire(self, timer: tuple[Recipient, str, str]) -> None:
        """Let a timer run out."""
        self.now_ms = max(self.now_ms, self.timers.pop(timer))
        self.tell(timer[0], m.TimerFired(timer[1], timer[2]))

    def begin(self, run: Run) -> None:
        """Let an executor say that it has begun."""
        self.tell(Recipient.WORKER, m.AttemptBegan(*run, self.now_ms))

    def save(self, run: Run, sequence: int, data: Any, step: str = "") -> None:
        """Let a running attempt save a checkpoint, or the result of a step."""
        worker_id, execution_id, task_id, attempt = run
        saved = Saved(Raw(msgspec.json.encode(data)))
        mark = m.Mark.STEP if step else m.Mark.CHECKPOINT
        about = (execution_id, task_id, attempt, worker_id, self.now_ms, sequence, mark, step, saved)
        self.tell(Recipient.WORKER, m.ProgressMade(worker_id, m.RecordProgress(*about)))

    def read(self, run: Run, sequence: int, artifact: str) -> None:
        """Let a running attempt read an artifact."""
        worker_id, execution_id, task_id, attempt = run
        about = (execution_id, task_id, attempt, worker_id, self.now_ms, sequence, m.Mark.READ, artifact)
        self.tell(Recipient.WORKER, m.ProgressMade(worker_id, m.RecordProgress(*about)))

    def end(self, run: Run, outcome: Outcome, result: Raw = NULL, **more: Any) -> None:
        """Let an attempt end; ``more`` are further fields of its report."""
        worker_id, execution_id, task_id, attempt = run
        if self.running.pop(run):
            outcome = Outcome.CANCELLED
        report = m.AttemptFinished(
            execution_id, task_id, attempt, worker_id, self.now_ms, self.now_ms, outcome, result, **more
        )
        self.tell(Recipient.WORKER, m.AttemptEnded(worker_id, report))

    def silence(self, worker_id: str) -> None:
        """Let the pool's owner take a worker for dead, rightly or not."""
        pool = self.players.get((Recipient.RESOURCE, POOL_NAME))
        if pool is not None and worker_id in pool.state.workers:
            incarnation = pool.state.workers[worker_id].incarnation
            self.tell(Recipient.RESOURCE, m.WorkerLeft(POOL_NAME, worker_id, incarnation))

    def restore_contact(self) -> None:
        """Let the pool hear every worker again."""
        for kind, key in list(self.players):
            if kind is Recipient.WORKER:
                self.tell(kind, m.ContactMade(key))

    # --- how it is carried out -----------------------------------------------------------------

    def _post(self, to: Recipient, message: Any) -> None:
        self.soup.append((to, message))
        self.archive.append((to, message))

    def _perform(self, player: Player, effects: Any) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._post(effect.to, effect.message)
                case SetTimer() | SetAlarm():
                    self.timers[player.kind, effect.key, effect.name] = effect.due_at
                case ClearAlarm():
                    self.timers.pop((player.kind, effect.key, effect.name), None)
                case Launch():
                    start = effect.start
                    run = (player.key, start.execution_id, start.task.id, start.attempt)
                    self.running.setdefault(run, False)
                    self.starts[run] = start
                case Stop():
                    run = (player.key, effect.execution_id, effect.task_id, effect.attempt)
                    if run in self.running:
                        self.running[run] = True
                case Confirm():
                    self.confirmed.append(effect.confirmation)
                case Improve():
                    self.searches.append(effect)
                case Alert():
                    self.alerts.append(effect.sentence)
                case Enlist():
                    self._enlist(effect.worker_id)
                case _:
                    raise AssertionError(effect)

    def _enlist(self, worker_id: str) -> None:
        self.incarnations[worker_id] = self.incarnations.get(worker_id, 0) + 1
        self.soup.append((Recipient.WORKER, m.Enlisted(worker_id, self.incarnations[worker_id])))

    # --- what must hold ------------------------------------------------------------------------

    @property
    def executions(self) -> list[ExecutionRecord]:
        """Return the states of all executions."""
        return [p.state for (kind, _), p in self.players.items() if kind is Recipient.SCHEDULER]

    def check(self, player: Player) -> None:
        """Hold one actor's state, and what two logs say together, to the invariants."""
        if player.kind is Recipient.SCHEDULER:
            check_execution(player.state)
            check_strays(player.state)
        if player.kind is Recipient.RESOURCE:
            check_pool(player.state)
        pool = self.players.get((Recipient.RESOURCE, POOL_NAME))
        if pool is not None:
            for execution in self.executions:
                check_held(execution, pool.state)

    def is_quiet(self) -> bool:
        """Tell whether every execution is over and the pool holds nothing."""
        pool = self.players.get((Recipient.RESOURCE, POOL_NAME))
        is_free = pool is None or not (pool.state.grants or pool.state.waiting or pool.state.held_back)
        ended = [SCHEDULER.is_over(record) for record in self.executions]
        planned = [p for (kind, _), p in self.players.items() if kind is Recipient.PLANNER]
        return is_free and bool(ended) and all(ended) and all(p.state.is_handed_over for p in planned)

    def finish(self, rounds: int = 400, outside: Sequence[m.Message] = ()) -> None:
        """Let everything happen in good order until every execution is over.

        ``outside`` is what people and systems tell executions, again and again.

        Raises:
            AssertionError: it never comes to an end, or something is left behind.
        """
        self.restore_contact()
        for _ in range(rounds):
            self._drain()
            for message in outside:
                self.tell(Recipient.SCHEDULER, message)
            self._drain()
            if self.is_quiet() and not self.soup:
                break
            for kind, key in list(self.players):
                self.resume(kind, key)
            self._rejoin_strangers()
            self._let_go_on()
            retries = [timer for timer in self.timers if timer[2] != "timeout"]
            for timer in sorted(retries, key=lambda t: self.timers[t]):
                self.fire(timer)
            self.tell(Recipient.RESOURCE, m.Advance(POOL_NAME))
            self.now_ms += 1_000
        assert self.is_quiet(), self._complaint()
        for player in self.players.values():
            if player.kind is not Recipient.WORKER:
                player.check_replay()
        for execution in self.executions:
            assert all(task.status in FINAL_TASK_STATUSES for task in execution.tasks.values())

    def _drain(self) -> None:
        for _ in range(20_000):
            if self.soup:
                self.deliver(0)
            elif self.running:
                run = next(iter(self.running))
                if not self.running[run]:
                    self.begin(run)
                self.end(run, Outcome.SUCCEEDED)
            else:
                return
        raise AssertionError("The actors keep each other busy for ever.")

    def _rejoin_strangers(self) -> None:
        """Tell admitted workers that the pool does not know to register anew, as their heartbeats do."""
        pool = self.players.get((Recipient.RESOURCE, POOL_NAME))
        for (kind, key), player in list(self.players.items()):
            if kind is Recipient.WORKER and player.state.is_admitted and pool is not None:
                entry = pool.state.workers.get(key)
                if entry is None or entry.incarnation != player.state.incarnation:
                    self.tell(kind, m.RejoinWorker(key, player.state.incarnation))

    def _let_go_on(self) -> None:
        """Resume what people have paused and forgotten, and release what is parked."""
        for record in self.executions:
            key, request_id = record.execution_id, f"finish:{record.version}"
            if record.status is ExecutionState.PAUSED:
                self.ask(m.ResumeExecution(key, request_id))
            for task_id, task in record.tasks.items():
                if task.waiting == PARKED and task.status is TaskStatus.WAITING:
                    self.ask(m.ReleaseTask(key, f"{request_id}:{task_id}!", task_id))
                if task.is_paused and task.status not in FINAL_TASK_STATUSES:
                    self.ask(m.ResumeExecution(key, f"{request_id}:{task_id}", task_id))

    def _complaint(self) -> str:
        tasks = [
            {task_id: replace(record, rank=()) for task_id, record in execution.tasks.items()}
            for execution in self.executions
        ]
        return f"not quiet: {tasks}, pool {self.players.get((Recipient.RESOURCE, POOL_NAME))}"
