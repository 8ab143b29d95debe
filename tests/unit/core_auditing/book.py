"""A teller of events: what the tests of the auditor have in common."""

from __future__ import annotations

from typing import Any

from talka_core.auditing import Auditor, Kind, Violation
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import Holder
from talka_protocols.subjects import EXECUTION, POOL, SHARD, LogName

X = LogName(EXECUTION, "0", "x")
P = LogName(POOL, "-", "p")
ROSTER = LogName(SHARD, "0", "scheduler-0")
A, B = "x/a/1", "x/b/1"


class Ledger:
    """Tells an auditor events, one commit each."""

    def __init__(self, *, is_native: bool = True) -> None:
        self.auditor = Auditor()
        self.at = 1_000_000
        self.versions: dict[LogName, int] = {}
        self.position = 0
        self.found: list[Violation] = []
        if is_native:
            self.tell(ROSTER, e.LogsOpened(("x",)))
        self.tell(P, e.PoolConfigured({"licence": 1.0}))
        self.tell(P, e.WorkerJoined("w", 1, ("work",), 2, {"cpu_cores": 2.0}))
        self.tell(X, e.ExecutionStarted())

    def tell(self, log: LogName, *events: Any, skip: int = 0) -> list[Kind]:
        """Commit events, and return the kinds of what is wrong with them."""
        version = self.versions.get(log, 0) + 1 + skip
        self.versions[log] = version + len(events) - 1
        self.position += 1
        commit: Commit[Any] = Commit(version, self.at, 0, (Decision("test", events),))
        found = self.auditor.take(log, self.position, commit)
        self.found += found
        return [each.kind for each in found]

    def later(self, seconds: float) -> list[Kind]:
        """Let time pass in which both owners are seen to work."""
        found: list[Kind] = []
        for _ in range(int(seconds)):
            self.at += 1_000
            found += self.tell(P, e.WorkerDraining("w", 1))
            found += self.tell(X, e.TaskReady("z"))
        return found

    def grant(self, task: str = "a", fence: int = 1, hands: int = 0, **more: Any) -> list[Kind]:
        """Let the execution ask for a task's resources, and the pool grant them."""
        amounts = more.pop("amounts", {"cpu_cores": 1.0})
        found = self.tell(X, e.TaskQueued(task, 1))
        holder = Holder("x", task, 1)
        granted = e.AllocationGranted(
            f"x/{task}/1", holder, "work", "w", 1, fence, amounts, hands, self.at + 10_000 if hands else 0
        )
        return found + self.tell(P, granted, **more)

    def start(self, task: str = "a", fence: int = 1, allocation: str = "") -> list[Kind]:
        """Let the task's attempt be scheduled."""
        return self.tell(X, e.TaskScheduled(task, 1, "w", allocation or f"x/{task}/1", fence, incarnation=1))

    def succeed(self, task: str = "a") -> list[Kind]:
        """Let the task's attempt succeed."""
        return self.tell(X, e.TaskSucceeded(task, 1, self.at))

    def free(self, allocation: str = A) -> list[Kind]:
        """Let the pool free an allocation."""
        return self.tell(P, e.AllocationFreed(allocation, Holder("x")))


def run_one(ledger: Ledger) -> None:
    """Let one task hold something from its grant to its settled return."""
    ledger.grant()
    ledger.start()
    ledger.succeed()
    ledger.tell(X, e.AllocationReleased(A))
    ledger.free()
    ledger.tell(X, e.AllocationSettled(A))
