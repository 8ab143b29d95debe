"""A group of alike child processes, and the jobs that wait for one.

Children are started when they are needed. A job goes to the child that has
the fewest; another child is started while more than ``crowd`` jobs wait for
each that is starting, or when the fewest is ``crowd`` already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from msgspec import Struct

from talka_protocols.errors import PlatformError
from talka_services.executors import frames
from talka_services.executors.child import Child, ChildLaunch, Job
from talka_services.executors.sampling import Watched


class LaneLimits(Struct, frozen=True):
    """``capacity`` jobs at once in each of at most ``children``; ``keep`` of them stay when idle."""

    children: int
    capacity: int
    crowd: int
    keep: int


class Lane:
    """Runs jobs in its children; ``on_lost`` decides what becomes of those whose child ended."""

    def __init__(
        self,
        launch: ChildLaunch,
        limits: LaneLimits,
        on_answer: Callable[[Job, frames.Answer], None],
        on_lost: Callable[[list[Job], Child, int], None],
        watch: Callable[[Child], Watched],
    ) -> None:
        self._watch = watch
        self._watches: dict[int, Watched] = {}
        self._launch = launch
        self._limits = limits
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._children: list[Child] = []
        self._starting: set[asyncio.Task[None]] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._waiting: deque[Job] = deque()
        self._is_closed = False

    @property
    def children(self) -> tuple[Child, ...]:
        """The children that take jobs now."""
        return tuple(self._children)

    def submit(self, job: Job) -> None:
        """Run a job as soon as there is room; it fails if the lane is closed."""
        if self._is_closed:
            _fail([job], PlatformError("The executor of Python tasks was closed while a task was in it."))
            return
        child = self._roomiest()
        if child is None:
            self._waiting.append(job)
        else:
            child.give(job)
        self._grow(child)

    def withdraw(self, job: Job) -> bool:
        """Take back a job that waits; tell whether it did."""
        if job not in self._waiting:
            return False
        self._waiting.remove(job)
        return True

    async def close(self, grace_s: float) -> None:
        """End all children; jobs that are still here fail."""
        self._is_closed = True
        await asyncio.gather(*self._starting)
        _fail(
            self._waiting, PlatformError("The executor of Python tasks was closed before a task could run.")
        )
        self._waiting.clear()
        children = [*self._children]
        self._children.clear()
        await asyncio.gather(*(child.close(grace_s) for child in children), *self._retiring)

    def _roomiest(self) -> Child | None:
        best: Child | None = None
        load = self._limits.capacity
        for child in self._children:
            if len(child.jobs) < load and child.takes_jobs:
                best, load = child, len(child.jobs)
        return best

    def _grow(self, roomiest: Child | None) -> None:
        if len(self._children) + len(self._starting) >= self._limits.children:
            return
        crowd = self._limits.crowd
        is_crowded = roomiest is not None and len(roomiest.jobs) > crowd and not self._starting
        if is_crowded or len(self._waiting) > crowd * len(self._starting):
            task = asyncio.create_task(self._start())
            self._starting.add(task)

    async def _start(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        child = Child(self._answered, self._ended)
        try:
            await child.start(self._launch)
        except (PlatformError, OSError) as error:
            self._starting.discard(task)
            self._fail_waiting(error)
            return
        self._starting.discard(task)
        self._children.append(child)
        self._watches[child.pid] = watch = self._watch(child)
        self._launch.sampler.watch(watch)
        self._pump()

    def _fail_waiting(self, error: PlatformError | OSError) -> None:
        """Fail what no child will ever run; while one lives, the jobs wait for it."""
        if self._children or self._starting:
            return
        _fail(self._waiting, PlatformError(str(error)))
        self._waiting.clear()

    def _pump(self) -> None:
        while self._waiting and (child := self._roomiest()) is not None:
            child.give(self._waiting.popleft())

    def _answered(self, child: Child, answer: frames.Answer) -> None:
        assert not isinstance(answer, frames.Ready)
        if isinstance(answer, frames.Busy | frames.Save | frames.Wrote):
            job = child.jobs.get(answer.number)
        else:
            job = child.jobs.pop(answer.number, None)
        if job is not None:
            self._on_answer(job, answer)
        if self._waiting:
            self._pump()
        elif not child.jobs and len(self._children) > self._limits.keep and child in self._children:
            self._retire(child)

    def _retire(self, child: Child) -> None:
        self._children.remove(child)
        task = asyncio.create_task(child.close(1.0))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _ended(self, child: Child, code: int) -> None:
        if (watch := self._watches.pop(child.pid, None)) is not None:
            self._launch.sampler.forget(watch)
        was_serving = child in self._children
        if was_serving:
            self._children.remove(child)
        jobs = list(child.jobs.values())
        child.jobs.clear()
        self._on_lost(jobs, child, code)
        if was_serving:
            self._grow(None)


def _fail(jobs: Iterable[Job], error: PlatformError) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(error)
