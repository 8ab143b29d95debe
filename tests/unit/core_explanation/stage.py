"""A stage on which the real actors are brought to the state that is explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.explanation import Picture, explain
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.explanations import Explanation
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import ResourceRequirements, Task, Workflow, WorkflowConfig


class Stage:
    """The closed model of all actors, with one worker of four cores and four slots."""

    def __init__(self, cores: float = 4.0) -> None:
        self.model = Model({"w1": cores})
        self.lost: tuple[type, ...] = ()
        self.deliver()

    def deliver(self) -> None:
        """Deliver every message but those that get lost."""
        while self.model.soup:
            if isinstance(self.model.soup[0][1], self.lost):
                self.model.soup.pop(0)
            else:
                self.model.deliver(0)

    def submit(self, *tasks: Task, name: str = "e", **config: Any) -> None:
        """Submit a checked workflow."""
        self.model.submit(check(Workflow(name, name, tasks, config=WorkflowConfig(**config))))
        self.deliver()

    def ask(self, request: Any) -> None:
        """Ask a scheduler for something."""
        self.model.ask(request)
        self.deliver()

    def pool(self, message: Any) -> None:
        """Tell the pool something."""
        self.model.tell(Recipient.RESOURCE, message)
        self.deliver()

    def end(
        self, task_id: str, outcome: Outcome = Outcome.SUCCEEDED, result: bytes = b"null", **more: Any
    ) -> None:
        """Let a running attempt of a task end."""
        run = next(run for run in self.model.running if run[2] == task_id)
        self.model.begin(run)
        self.model.end(run, outcome, Raw(result), **more)
        self.deliver()

    def begin(self, task_id: str) -> None:
        """Let a task's attempt say that it runs."""
        self.model.begin(next(run for run in self.model.running if run[2] == task_id))
        self.deliver()

    def let_time_pass(self) -> None:
        """Let every timer of the execution run out but that of its time limit."""
        for timer in [t for t in self.model.timers if t[0] is Recipient.SCHEDULER and t[2] != "timeout"]:
            self.model.fire(timer)
        self.deliver()

    def picture(self) -> Picture:
        """Return the states as they are now."""
        by_kind: dict[Recipient, dict[str, Any]] = {kind: {} for kind in Recipient}
        for (kind, key), player in self.model.players.items():
            by_kind[kind][key] = player.state
        return Picture(
            self.model.now_ms,
            by_kind[Recipient.SCHEDULER],
            by_kind[Recipient.PLANNER],
            by_kind[Recipient.RESOURCE],
            by_kind[Recipient.STARTER],
        )

    def explain(self, task_id: str, execution_id: str = "e") -> Explanation:
        """Explain a task."""
        return explain(self.picture(), execution_id, task_id)

    def worker(self, worker_id: str, agent_types: Sequence[str] = (AGENT_TYPE,), **capacity: float) -> None:
        """Register one more worker, which is silent."""
        self.pool(m.RegisterWorker("default", worker_id, 1, tuple(agent_types), 4, capacity))


def task(task_id: str, *needs: str, cores: float = 0.0, **fields: Any) -> Task:
    """Return a task of the worker's agent type."""
    custom = fields.pop("custom", {})
    resources = ResourceRequirements(cpu_cores=cores, custom_resources=custom)
    agent_type = fields.pop("agent_type", AGENT_TYPE)
    return Task(task_id, agent_type, dependencies=needs, resources=resources, **fields)
