"""Runs one scenario: a platform of processes under load, one fault in the middle, and the judgement."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from random import Random

from msgspec import Struct

from talka_chaos.scenarios.judgement import judged
from talka_chaos.scenarios.load import TASKS, Load
from talka_chaos.scenarios.observer import Observer
from talka_chaos.scenarios.scenario import Scenario, Staged
from talka_services.client import connect

SLOTS = 16
BEFORE_S = (1.0, 2.5)
"""The fault comes so long after the first submission: drawn, so that no two runs are alike."""
END_S = 60.0
"""How long after healing everything may take to end."""


class Outcome(Struct, frozen=True):
    """What became of one run: how much ran, what clients saw of the fault, and what was violated.

    ``retries`` are calls of clients that failed and were made again, ``reads`` what was read of logs,
    ``attempts`` how many attempts there were of all tasks. Times are in seconds; ``ended_s`` is from healing
    to the last end.
    """

    scenario: str
    executions: int
    tasks: int
    attempts: int
    retries: int
    reads: int
    broken_s: float
    ended_s: float
    violations: tuple[str, ...]

    @property
    def is_healthy(self) -> bool:
        """Tell whether nothing was violated."""
        return not self.violations


async def run_once(scenario: Scenario, number: int, keep: Path | None = None) -> Outcome:
    """Run a scenario in a directory of its own; the number decides when the fault comes.

    The logs of a run with violations are copied to ``keep``.
    """
    with tempfile.TemporaryDirectory(prefix=f"talka-{scenario.name}-") as place:
        directory = Path(place)
        random = Random(f"{scenario.name} {number}")  # noqa: S311  (faults are no secret)
        async with scenario.stage(directory) as staged:
            try:
                outcome = await _play(scenario.name, staged, directory / "effects", random)
            finally:
                staged.cluster.discard()
        if keep is not None and not outcome.is_healthy:
            _save_logs(directory, keep / f"{scenario.name}-{number}")
        return outcome


async def _play(name: str, staged: Staged, sink: Path, random: Random) -> Outcome:
    cluster, observer = staged.cluster, Observer()
    for worker_id in staged.workers:
        if worker_id not in cluster.programs:
            cluster.add_worker(worker_id, "--slots", str(SLOTS))
    await cluster.start()
    async with (
        await connect(cluster.url) as orchestrator,
        await connect(cluster.url) as first,
        await connect(cluster.url) as second,
    ):
        load = Load(orchestrator, sink, random, staged.most, staged.live)
        watching = [asyncio.create_task(observer.watch(who, load.submitted)) for who in (first, second)]
        running = asyncio.create_task(load.run())
        try:
            await asyncio.sleep(random.uniform(*BEFORE_S))
            broken_at = time.monotonic()
            found = await _injected(staged, orchestrator)
            healed_at = time.monotonic()
            load.healed.set()
            await asyncio.wait([running], timeout=END_S)
            ended_at = time.monotonic()
        finally:
            for task in (*watching, running):
                task.cancel()
            await asyncio.wait((*watching, running))
        for task in (*watching, running):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        found += await judged(cluster, orchestrator, load, observer)
        found += await staged.check(orchestrator)
    attempts = sum(task.attempts for result in load.results.values() for task in result.tasks.values())
    return Outcome(
        name,
        len(load.submitted),
        len(load.submitted) * TASKS,
        attempts,
        load.retries,
        observer.reads,
        round(healed_at - broken_at, 1),
        round(ended_at - healed_at, 1),
        tuple(found),
    )


async def _injected(staged: Staged, orchestrator: object) -> list[str]:
    """Break and heal; say so if the fault did not happen, for then nothing was shown."""
    try:
        await staged.inject(orchestrator)  # type: ignore[arg-type]
    except AssertionError as error:
        return [f"I1 {error}"]
    return []


def _save_logs(directory: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in directory.glob("*.log"):
        (target / log.name).write_bytes(log.read_bytes())
