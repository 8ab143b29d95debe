"""Measures a replay: ``python tests/replay/measure.py`` decodes and folds a log of 10,002 events, five times.

The log is that of 1,250 tasks in chains of a hundred, eight events each, ten
events in a commit; the state that it folds to is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from time import process_time

from talka_core.history import FOLDS, apply
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision, decode_commit, encode_commit
from talka_protocols.events import Event
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.workflow import Dependency, Task, Workflow

TASKS, CHAIN, PER_COMMIT, REPETITIONS = 1_250, 100, 10, 5
NAME = LogName(EXECUTION, "0", "measured")


def _events() -> Iterator[Event]:
    tasks = tuple(Task(f"t{i}", "sleep", payload={"seconds": 0}) for i in range(TASKS))
    edges = tuple(Dependency(f"t{i - 1}", f"t{i}") for i in range(TASKS) if i % CHAIN)
    yield e.ExecutionAccepted(Workflow("measured", "measured", tasks, edges))
    yield e.ExecutionStarted()
    for fence, task in enumerate(tasks, 1):
        allocation = f"{NAME.key}/{task.id}/1"
        yield e.TaskReady(task.id, (float(fence),))
        yield e.TaskQueued(task.id, 1)
        yield e.TaskScheduled(task.id, 1, "w1", allocation, fence)
        yield e.TaskStarted(task.id, 1, fence)
        yield e.TaskCheckpointed(task.id, 1, 1, e.Saved())
        yield e.TaskSucceeded(task.id, 1, fence)
        yield e.AllocationReleased(allocation)
        yield e.AllocationSettled(allocation)


def _bodies() -> list[bytes]:
    events = list(_events())
    return [
        encode_commit(
            Commit(first + 1, first, 1, (Decision("m", tuple(events[first : first + PER_COMMIT])),))
        )
        for first in range(0, len(events), PER_COMMIT)
    ]


def main() -> None:
    """Print the median CPU time of the repetitions with their range."""
    bodies, fold, seconds, folded = _bodies(), FOLDS[EXECUTION], list[float](), 0
    for _ in range(REPETITIONS):
        began = process_time()
        state = apply(fold, fold.initial(NAME.key), [decode_commit(NAME, body) for body in bodies])
        seconds.append(process_time() - began)
        assert all(record.status is TaskStatus.SUCCEEDED for record in state.tasks.values())
        assert not state.returning
        folded = state.version
    print(  # noqa: T201  (a script's answer)
        f"{folded:,} events: {median(seconds):.3f} s of CPU ({min(seconds):.3f} - {max(seconds):.3f})"
    )


if __name__ == "__main__":
    main()
