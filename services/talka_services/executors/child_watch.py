"""The memory of a child process that runs Python tasks, held against what its tasks ask for."""

from __future__ import annotations

from collections.abc import Callable

from talka_services.executors.child import Child, Job
from talka_services.executors.sampling import Seen


class ChildWatch:
    """One child; ``on_hog`` is told of the task that holds too much, ``on_excess`` when nobody knows which.

    What a child holds is known for all its tasks together, so it says
    something about one task only while that is alone there. A limit holds while
    all tasks in the child have one. What an earlier task has left in a child
    that is used again is no fault of the one that runs there now: that one is
    to blame only in a child that has run nothing else, or if it was moved once.
    """

    def __init__(
        self, child: Child, on_hog: Callable[[Job, float], None], on_excess: Callable[[Child], None]
    ) -> None:
        self._child = child
        self._on_hog = on_hog
        self._on_excess = on_excess

    @property
    def leader(self) -> int:
        """The child leads a session of its own."""
        return self._child.pid

    @property
    def is_active(self) -> bool:
        """Tell whether looking at the child could say anything now."""
        return len(self._child.jobs) == 1 or self.limit_mb > 0

    @property
    def limit_mb(self) -> float:
        """The limits of its tasks together, 0 if one of them has none."""
        limits = [job.attempt.task.resources.memory_mb for job in self._child.jobs.values()]
        return sum(limits) if all(limits) else 0.0

    def saw(self, seen: Seen) -> None:
        """Note what a task alone holds, and call out if it is too much."""
        memory_mb = seen.memory_mb
        child, jobs = self._child, list(self._child.jobs.values())
        if not jobs or not child.takes_jobs:
            return
        if len(jobs) == 1 and (meter := jobs[0].attempt.meter) is not None:
            meter.see_memory(memory_mb)
            if seen.held is not None:
                meter.see_gpus(seen.held.gpus, seen.held.memory_mb)
        if not 0 < self.limit_mb < memory_mb:
            return
        if len(jobs) == 1 and (child.served == 1 or jobs[0].reruns > 0):
            self._on_hog(jobs[0], memory_mb)
        else:
            self._on_excess(child)
