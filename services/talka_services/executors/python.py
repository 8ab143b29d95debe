"""Runs Python functions in child processes that are used again, many tasks a message.

``COMPUTE`` tasks have a child to themselves while they run, as many children
as the settings say. All others share children: plain functions in threads,
async ones in the child's loop.

When a shared child dies, one of the tasks in it is guilty and nobody knows
which. Each of them is run again in a child of its own: the guilty one dies
there and fails with ``TaskCrashedError``, the others succeed. When a child
was killed because a task in it was cancelled and did not stop, the others are
run again. So a task may be started more than once in one attempt: execution
is at-least-once, as everywhere in Talka.

What tasks print goes to the attempt's logbook, and to the worker's standard
error too if the settings say so; it never meets the messages, which have a
socket of their own.

``isolation: none`` runs an async function in the worker's own loop: cheapest,
and a function that blocks, crashes or leaks takes the worker with it.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, Literal, assert_never, cast

import msgspec
from msgspec import Raw, Struct, field

from talka_protocols.errors import (
    NotAllowedError,
    StaleAttemptError,
    TaskCrashedError,
    TaskError,
    TaskFailedError,
)
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task, TaskType
from talka_services.executors import frames
from talka_services.executors.child import Child, ChildLaunch, Job, work_directory
from talka_services.executors.child_watch import ChildWatch
from talka_services.executors.context import context_of, facts_of
from talka_services.executors.environment import passed_through
from talka_services.executors.exits import exit_text
from talka_services.executors.failures import describe, kinds_of
from talka_services.executors.functions import Function, find_function, require_allowed, split_call
from talka_services.executors.guardian import Guardian
from talka_services.executors.lane import Lane, LaneLimits
from talka_services.executors.registry import ExecutorSettings
from talka_services.executors.results import joined, normalised
from talka_services.executors.sampling import Sampler, memory_exceeded
from talka_services.executors.stopping import is_cancelling, uninterrupted

SHARED_CAPACITY = 256
"""Tasks in one shared child at most; so many would be run again should it die."""
_SHARED_CROWD = 16
_SEVERAL_CHILDREN_MIN = 4


class PythonPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """The function, its keyword arguments, and where to run it."""

    call: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    isolation: Literal["process", "none"] = "process"


class PythonExecutor:
    """Runs ``python`` tasks; the result is what the function returned."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._guardian = Guardian()
        self._sampler = Sampler()
        self._numbers = itertools.count(1)
        self._allowed_calls: set[str] = set()
        self._functions: dict[str, Function] = {}
        self._background: set[asyncio.Task[None]] = set()
        processes = max(1, settings.processes)
        self._shared = self._lane(
            LaneLimits(processes, SHARED_CAPACITY, _SHARED_CROWD, processes), settings.threads
        )
        several = max(_SEVERAL_CHILDREN_MIN, processes)
        self._limited = self._lane(LaneLimits(several, SHARED_CAPACITY, 1, 1), settings.threads)
        self._compute = self._lane(LaneLimits(processes, 1, 1, processes), 1)
        self._alone = self._lane(LaneLimits(several, 1, 1, 0), 1)
        self._lanes = (self._shared, self._limited, self._compute, self._alone)

    async def execute(self, attempt: Attempt) -> Any:
        """Run the function to its end.

        Raises:
            NotAllowedError: its module is not allowed.
            TaskFailedError: it raised, does not exist, or returned what cannot be recorded.
            TaskCrashedError: it ended the process that it ran in.
            MemoryExceededError: it held more memory than the task asks for.
            PlatformError: no child process can be started here.
        """
        payload = self._payload(attempt)
        if payload.isolation == "none":
            return await self._run_here(payload, attempt)
        lane = self._lane_of(attempt.task)
        job = self._job(payload, attempt)
        lane.submit(job)
        try:
            return await job.answer
        except asyncio.CancelledError:
            await uninterrupted(self._stop(job), partial(self._kill, job))
            raise

    async def close(self) -> None:
        """End all child processes and the guardian."""
        for task in self._background:
            task.cancel()
        for lane in self._lanes:
            await lane.close(self._settings.stop_grace_s)
        await self._sampler.close()
        self._guardian.close()

    @property
    def child_ids(self) -> tuple[int, ...]:
        """The process ids of the children that take tasks now."""
        return tuple(child.pid for lane in self._lanes for child in lane.children)

    def _lane_of(self, task: Task) -> Lane:
        """Tasks with a limit of memory share children with their like only, where the limits hold."""
        if task.type is TaskType.COMPUTE:
            return self._compute
        return self._limited if task.resources.memory_mb else self._shared

    def _lane(self, limits: LaneLimits, threads: int) -> Lane:
        settings = self._settings
        cwd = work_directory(settings.work_dir)
        places = [*filter(None, sys.path), cwd]
        launch = ChildLaunch(
            hello=frames.Hello(places, settings.allow_modules, threads, limits.capacity == 1),
            env=passed_through(settings.environment),
            cwd=cwd,
            passes_output=settings.child_output == "stderr",
            guardian=self._guardian,
            sampler=self._sampler,
        )
        return Lane(launch, limits, self._answered, self._lost, self._watch)

    def _watch(self, child: Child) -> ChildWatch:
        return ChildWatch(child, self._hog, self._crowd)

    def _payload(self, attempt: Attempt) -> PythonPayload:
        try:
            payload = msgspec.convert(attempt.task.payload, PythonPayload)
        except msgspec.ValidationError as error:
            raise TaskFailedError(
                f"The payload of the python task {attempt.task.id!r} is wrong: {error}.",
                hint="It takes call, arguments (by name) and isolation.",
            ) from error
        if payload.call not in self._allowed_calls:
            require_allowed(split_call(payload.call)[0], self._settings.allow_modules)
            self._allowed_calls.add(payload.call)
        return payload

    def _job(self, payload: PythonPayload, attempt: Attempt) -> Job:
        number = next(self._numbers)
        try:
            arguments = Raw(frames.encode(payload.arguments))
        except (TypeError, ValueError) as error:
            raise TaskFailedError(
                f"The arguments of {payload.call} cannot be sent as JSON: {error}."
            ) from error

        def body() -> bytes:
            return frames.encode(frames.Run(number, payload.call, arguments, facts_of(attempt)))

        return Job(number, payload.call, body, attempt)

    def _answered(self, job: Job, answer: frames.Answer) -> None:
        if isinstance(answer, frames.Busy):
            self._press(job)
            return
        if isinstance(answer, frames.Wrote):
            if job.attempt.logbook is not None:
                job.attempt.logbook.write(answer.channel, answer.text.encode())
                job.attempt.logbook.miss(answer.channel, answer.dropped)
            return
        if isinstance(answer, frames.Save):
            self._in_background(self._save(job, answer))
            return
        if job.stopped is not None:
            job.stopped.set()
        elif not job.answer.done():
            _count(job, answer)
            _settle(job, answer)

    async def _save(self, job: Job, request: frames.Save) -> None:
        """Have something recorded that a function saves, and tell it when that has happened."""
        child = job.child
        try:
            if job.stopped is not None or job.attempt.progress is None:
                raise StaleAttemptError("The attempt is being stopped.")
            data = await job.attempt.progress.save(request.mark, request.name, request.data)
            answer = frames.Recorded(job.number, request.call, data=data)
        except TaskError as error:
            answer = frames.Recorded(job.number, request.call, error.code, error.message, error.hint)
        if child is not None and child.takes_jobs:
            child.send(frames.encode(answer))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _stop(self, job: Job) -> None:
        """Return when the job has ended, by itself within the grace or with its child."""
        if any(lane.withdraw(job) for lane in self._lanes):
            return
        child = job.child
        if child is None or job.number not in child.jobs:
            return
        job.stopped = job.stopped or asyncio.Event()
        child.send(frames.encode(frames.Cancel(job.number)))
        try:
            async with asyncio.timeout(self._settings.stop_grace_s):
                await job.stopped.wait()
        except TimeoutError:
            child.kill()
            await job.stopped.wait()

    def _hog(self, job: Job, held_mb: float) -> None:
        """End a task that holds too much memory, and the child that it is alone in."""
        if job.stopped is None and job.child is not None:
            job.stopped = asyncio.Event()
            job.child.kill()
            self._in_background(self._blame(job, job.stopped, held_mb))

    @staticmethod
    async def _blame(job: Job, stopped: asyncio.Event, held_mb: float) -> None:
        await stopped.wait()
        if not job.answer.done():
            job.answer.set_exception(memory_exceeded(job.attempt, held_mb))

    @staticmethod
    def _crowd(child: Child) -> None:
        """End a child that holds too much; each of its jobs is run again alone, which tells whose it was."""
        child.holds_too_much = True
        child.kill()

    @staticmethod
    def _kill(job: Job) -> None:
        """Kill the child of a job at once; what else ran there is run again."""
        if job.child is not None and job.number in job.child.jobs:
            job.child.kill()

    @staticmethod
    def _press(job: Job) -> None:
        """Kill at once the child of a plain function that would not hear us, if it is alone there."""
        if job.child is not None and len(job.child.jobs) == 1:
            job.child.kill()

    def _lost(self, jobs: list[Job], child: Child, code: int) -> None:
        is_found = len(jobs) == 1 and not child.is_condemned
        for job in jobs:
            job.child = None
            if job.stopped is not None:
                job.stopped.set()
            elif job.answer.done():
                continue
            elif is_found:
                job.answer.set_exception(_crash(job, code))
            else:
                self._in_background(self._run_again(job, child))

    async def _run_again(self, job: Job, child: Child) -> None:
        """Run a job again from what it has saved, once that is recorded."""
        job.reruns += 1
        if job.attempt.progress is not None:
            await job.attempt.progress.settled()
        if job.answer.done():
            return
        is_compute = job.attempt.task.type is TaskType.COMPUTE
        if child.holds_too_much:
            self._alone.submit(job)
        elif is_compute:
            self._compute.submit(job)
        elif child.is_condemned and job.reruns == 1:
            self._lane_of(job.attempt.task).submit(job)
        else:
            self._alone.submit(job)

    async def _find(self, call: str) -> Function:
        """Import a function off the loop, once: its module stays as it was first imported."""
        place = work_directory(self._settings.work_dir)
        if place not in sys.path:
            sys.path.append(place)
        function = await asyncio.to_thread(find_function, call, self._settings.allow_modules)
        self._functions[call] = function
        return function

    async def _run_here(self, payload: PythonPayload, attempt: Attempt) -> Any:
        try:
            function = self._functions.get(payload.call) or await self._find(payload.call)
            arguments = payload.arguments
            if function.wants_context and "context" not in arguments:
                arguments = {**arguments, "context": context_of(attempt)}
            return normalised(await _coroutine(payload.call, function, arguments))
        except asyncio.CancelledError:
            if is_cancelling():
                raise
            raise TaskFailedError(f"{payload.call} cancelled itself.") from None
        except (TaskFailedError, NotAllowedError):
            raise
        except (Exception, SystemExit) as error:
            raise TaskFailedError(describe(error), kinds=kinds_of(error)) from error


def _coroutine(call: str, function: Function, arguments: dict[str, Any]) -> Awaitable[Any]:
    if not function.is_async:
        raise TaskFailedError(
            f"{call} is a plain function and would block the whole worker.",
            hint="Make it `async def`, or leave out `isolation: none`.",
        )
    return cast("Awaitable[Any]", function.target(**arguments))


def _count(job: Job, answer: frames.Answer) -> None:
    meter = job.attempt.meter
    if meter is not None and isinstance(answer, frames.Returned | frames.Raised) and answer.cpu_s is not None:
        meter.add_cpu(answer.cpu_s)


def _settle(job: Job, answer: frames.Answer) -> None:
    match answer:
        case frames.Returned():
            job.answer.set_result(joined(answer.result, answer.extension))
        case frames.Raised():
            job.answer.set_exception(TaskFailedError(answer.text, hint=answer.hint, kinds=answer.kinds))
        case frames.Refused():
            job.answer.set_exception(NotAllowedError(answer.text, hint=answer.hint))
        case frames.Cancelled():
            job.answer.set_exception(TaskFailedError(f"{job.call} was cancelled inside its process."))
        case frames.Busy() | frames.Ready() | frames.Save() | frames.Wrote():
            raise AssertionError("these answers settle nothing")
        case _:
            assert_never(answer)


def _crash(job: Job, code: int) -> TaskCrashedError:
    return TaskCrashedError(
        f"The process that ran {job.call} for the task {job.attempt.task.id!r} {exit_text(code)}.",
        hint="Look for exhausted memory, native code that fails, or a call of os._exit.",
    )
