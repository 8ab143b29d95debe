"""How each workload is run and what is taken from it; nothing here is estimated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from msgspec import Struct

from talka_protocols.results import TaskResult, WorkflowResult
from talka_protocols.workflow import Task, Workflow
from talka_services.bench import workloads
from talka_services.bench.measure import Machine, Spread, load, percentile
from talka_services.bench.stage import Stage
from talka_services.bench.steps import rounds_for
from talka_services.bench.workloads import Isolation
from talka_services.executors.registry import ExecutorSettings

Figures = dict[str, tuple[float, str]]


class Sizes(Struct, frozen=True):
    """How large the workloads are; the defaults are those of the peers' harness."""

    fan: int = 1_000
    chain: int = 200
    workflows: int = 200
    steps: int = 5
    at_once: int = 100
    layers: int = 10
    width: int = 10
    layer_s: float = 0.1
    sleepers: int = 100
    sleep_s: float = 1.0
    singles: int = 100
    scales: tuple[int, ...] = (100, 5_000, 10_000)
    speedup_tasks: int = 8
    speedup_s: float = 1.0


class Row(Struct, frozen=True):
    """One workload's figures, with all that is needed to judge them."""

    workload: str
    variant: str
    figures: dict[str, Spread]
    repetitions: int
    load: float
    others: float
    settings: dict[str, str]
    machine: Machine


class Session(Struct, frozen=True):
    """Measures workloads on a stage, each ``repetitions`` times."""

    stage: Stage
    repetitions: int
    sizes: Sizes = Sizes()

    async def rows(self, names: Sequence[str]) -> AsyncGenerator[Row]:
        """Yield the rows of the workloads asked for as they are measured, after one run to warm up."""
        await self._run(workloads.fan(50))
        await self._run(workloads.fan(50, "process"))
        for name in names:
            async for row in _MEASURES[name](self):
                yield row

    async def _run(self, workflow: Workflow) -> WorkflowResult:
        result = await self.stage.orchestrator.execute_workflow(workflow)
        assert result.is_success, f"{workflow.name} ended {result.status}: {result.reason}"
        return result

    async def _row(
        self,
        workload: str,
        variant: str,
        once: Callable[[], Awaitable[Figures]],
        repetitions: int | None = None,
    ) -> Row:
        before, shares, taken = load(), list[float](), list[Figures]()
        for _ in range(repetitions or self.repetitions):
            with self.stage.meter() as meter:
                figures = await once()
            shares.append(meter.others)
            taken.append(figures)
        spreads = {
            name: Spread.of([figures[name][0] for figures in taken], unit)
            for name, (_, unit) in taken[0].items()
        }
        share = sorted(shares)[len(shares) // 2]
        settings, facts = self.stage.settings, self.stage.machine
        return Row(workload, variant, spreads, len(taken), round(before, 2), share, settings, facts)

    # --- the workloads -------------------------------------------------------------------------

    async def _fan_once(self, size: int, isolation: Isolation) -> Figures:
        workflow = workloads.fan(size, isolation)
        with self.stage.meter() as meter:
            result = await self._run(workflow)
        return {
            "throughput": (size / meter.wall_s, "tasks/s"),
            "wall": (meter.wall_s, "s"),
            "makespan": (_makespan_s(result), "s"),
            "cpu": (1000 * meter.cpu_s / size, "ms/task"),
        }

    async def w1(self) -> AsyncGenerator[Row]:
        """Measure independent no-op tasks, in the worker's loop and in child processes."""
        for isolation in _ISOLATIONS:
            variant = f"{self.sizes.fan} no-ops, {_PLACES[isolation]}"
            yield await self._row("W1", variant, partial(self._fan_once, self.sizes.fan, isolation))

    async def _chain_once(self, isolation: Isolation) -> Figures:
        workflow = workloads.chain(self.sizes.chain, isolation)
        with self.stage.meter() as meter:
            result = await self._run(workflow)
        began = [_span(result.tasks[task.id])[0] for task in workflow.tasks]
        steps = [(after - before) / 1e6 for before, after in pairwise(began)]
        return {
            "step p50": (percentile(steps, 0.5), "ms"),
            "step p99": (percentile(steps, 0.99), "ms"),
            "cpu": (1000 * meter.cpu_s / self.sizes.chain, "ms/step"),
        }

    async def w2(self) -> AsyncGenerator[Row]:
        """Measure the time between the starts of consecutive tasks of a chain."""
        for isolation in _ISOLATIONS:
            variant = f"chain of {self.sizes.chain}, {_PLACES[isolation]}"
            yield await self._row("W2", variant, partial(self._chain_once, isolation))

    async def _many_once(self) -> Figures:
        gate, took = asyncio.Semaphore(self.sizes.at_once), list[float]()
        workflow = workloads.chain(self.sizes.steps)

        async def one() -> None:
            async with gate:
                began = time.perf_counter()
                await self._run(workflow)
                took.append(1000 * (time.perf_counter() - began))

        with self.stage.meter() as meter:
            await asyncio.gather(*(one() for _ in range(self.sizes.workflows)))
        steps = self.sizes.workflows * self.sizes.steps
        return {
            "workflows": (self.sizes.workflows / meter.wall_s, "1/s"),
            "steps": (steps / meter.wall_s, "1/s"),
            "workflow p50": (percentile(took, 0.5), "ms"),
            "cpu": (1000 * meter.cpu_s / steps, "ms/step"),
        }

    async def w3(self) -> AsyncGenerator[Row]:
        """Measure many small workflows at once."""
        sizes = self.sizes
        variant = f"{sizes.workflows} workflows x {sizes.steps} steps, {sizes.at_once} at once"
        yield await self._row("W3", variant, self._many_once)

    async def _against_ideal(self, workflow: Workflow, ideal_s: float) -> Figures:
        with self.stage.meter() as meter:
            result = await self._run(workflow)
        spans = [_span(task) for task in result.tasks.values()]
        inner_s = (max(end for _, end in spans) - min(begin for begin, _ in spans)) / 1e9
        return {
            "overhead": (100 * (meter.wall_s / ideal_s - 1), "%"),
            "overhead after start": (100 * (_makespan_s(result) / ideal_s - 1), "%"),
            "makespan after start": (_makespan_s(result), "s"),
            "first start to last end": (inner_s, "s"),
            "cpu": (meter.cpu_s, "s"),
        }

    async def w4(self) -> AsyncGenerator[Row]:
        """Measure how far tasks that only wait are from the ideal."""
        sizes = self.sizes
        layered = workloads.layers(sizes.layers, sizes.width, sizes.layer_s)
        ideal_s = sizes.layers * sizes.layer_s
        variant = f"{sizes.layers} x {sizes.width} of {1000 * sizes.layer_s:g} ms, ideal {ideal_s:g} s"
        yield await self._row("W4a", variant, partial(self._against_ideal, layered, ideal_s))
        wide = workloads.sleepers(sizes.sleepers, sizes.sleep_s)
        variant = f"{sizes.sleepers} x {sizes.sleep_s:g} s at once, ideal {sizes.sleep_s:g} s"
        yield await self._row("W4b", variant, partial(self._against_ideal, wide, sizes.sleep_s))

    async def _singles_once(self) -> Figures:
        workflow = workloads.fan(1)
        took, to_start = list[float](), list[float]()
        with self.stage.meter() as meter:
            for _ in range(self.sizes.singles):
                began = time.monotonic_ns()
                result = await self._run(workflow)
                took.append((time.monotonic_ns() - began) / 1e6)
                to_start.append((_span(result.tasks["t0"])[0] - began) / 1e6)
        return {
            "p50": (percentile(took, 0.5), "ms"),
            "p99": (percentile(took, 0.99), "ms"),
            "submit to start p50": (percentile(to_start, 0.5), "ms"),
            "cpu": (1000 * meter.cpu_s / self.sizes.singles, "ms/workflow"),
        }

    async def w5(self) -> AsyncGenerator[Row]:
        """Measure one no-op workflow after the other."""
        variant = f"one no-op, submit to result, {self.sizes.singles} in turn"
        yield await self._row("W5", variant, self._singles_once)

    async def w6(self) -> AsyncGenerator[Row]:
        """Measure W1 at other sizes; the largest at most three times."""
        for size in self.sizes.scales:
            repetitions = self.repetitions if size <= 1_000 else min(3, self.repetitions)
            yield await self._row(
                "W6",
                f"{size} no-ops, {_PLACES['none']}",
                partial(self._fan_once, size, "none"),
                repetitions,
            )

    async def _speedup_once(self, tasks: Sequence[Task]) -> Figures:
        parallel_s = await _timed(self.stage.orchestrator.execute_parallel, tasks)
        sequential_s = await _timed(self.stage.orchestrator.execute_sequential, tasks)
        return {
            "speed-up": (sequential_s / parallel_s, "x"),
            "parallel": (parallel_s, "s"),
            "sequential": (sequential_s, "s"),
        }

    async def speedup(self) -> AsyncGenerator[Row]:
        """Measure ``execute_parallel`` against ``execute_sequential`` of the same tasks."""
        count, seconds = self.sizes.speedup_tasks, self.sizes.speedup_s
        repetitions = min(3, self.repetitions)
        naps = [workloads.waiting(f"t{i}", seconds) for i in range(count)]
        yield await self._row(
            "speedup", f"{count} x {seconds:g} s of waiting", partial(self._speedup_once, naps), repetitions
        )
        rounds = rounds_for(seconds)
        burns = [workloads.burning(f"t{i}", rounds) for i in range(count)]
        # Children are started and warm on both sides.
        await self.stage.orchestrator.execute_parallel(burns)
        variant = f"{count} x about {seconds:g} s of computing, {ExecutorSettings().processes} processes"
        yield await self._row("speedup", variant, partial(self._speedup_once, burns), repetitions)


_ISOLATIONS: tuple[Isolation, ...] = ("none", "process")
_PLACES = {"none": "in the worker's loop (isolation: none)", "process": "in child processes"}

_MEASURES: Mapping[str, Callable[[Session], AsyncGenerator[Row]]] = {
    "W1": Session.w1,
    "W2": Session.w2,
    "W3": Session.w3,
    "W4": Session.w4,
    "W5": Session.w5,
    "W6": Session.w6,
    "speedup": Session.speedup,
}
WORKLOADS = tuple(_MEASURES)


async def _timed(
    run: Callable[[Sequence[Task]], Awaitable[list[TaskResult]]], tasks: Sequence[Task]
) -> float:
    began = time.perf_counter()
    results = await run(tasks)
    took_s = time.perf_counter() - began
    assert all(result.is_success for result in results), "every task of a benchmark succeeds"
    return took_s


def _span(task: TaskResult) -> tuple[int, int]:
    """Return when the task itself says that it began and ended (monotonic nanoseconds)."""
    value: Any = task.result
    return value[0], value[1]


def _makespan_s(result: WorkflowResult) -> float:
    assert result.makespan_s is not None, "an execution that succeeded has a makespan"
    return result.makespan_s
