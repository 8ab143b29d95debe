"""Many executions on three NATS nodes, of which another one is killed every few seconds.

``python -m tests.nightly.nodes [--executions 1000] [--tasks 50] [--every 10]`` prints one JSON object:
what ran, how often each node died, and every fault that the records of all executions show.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from talka import Orchestrator, Task, WorkflowBuilder, connect
from talka_chaos.processes import NODES, Cluster
from talka_chaos.records import pool_is_empty, record_of
from talka_chaos.verifier import Verifier
from talka_protocols.errors import ServerUnavailableError
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow
from talka_services.loop import run

log = logging.getLogger(__name__)

AT_ONCE = 20
AWAY_S = 2.0
EMPTY_S = 30
T = TypeVar("T")


def layered(tasks: int) -> Workflow:
    """Return short sleeps in layers of five, each task after one of the layer before."""
    builder = WorkflowBuilder("nodes")
    for number in range(tasks):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.02}))
        if number >= 5:
            builder.add_dependency(f"t{number - 5}", f"t{number}")
    return builder.build()


async def kill_in_turn(cluster: Cluster, every_s: float, kills: Counter[str]) -> None:
    """Kill one node after the other, and start each again shortly after; for ever."""
    for name in cycle(NODES):
        await asyncio.sleep(every_s - AWAY_S)
        cluster[name].kill()
        kills[name] += 1
        await asyncio.sleep(AWAY_S)
        await cluster.start(name)


async def again(ask: Callable[[], Awaitable[T]], refusals: Counter[str]) -> T:
    """Ask until there is an answer, as any client does that is told that the servers are away."""
    while True:
        try:
            return await ask()
        except ServerUnavailableError as error:
            refusals[type(error).__name__] += 1


async def execute(
    orchestrator: Orchestrator,
    workflow: Workflow,
    key: str,
    turn: asyncio.Semaphore,
    counted: tuple[Counter[str], Counter[str]],
) -> list[str]:
    """Run one execution under a key, and return what is wrong with its record."""
    kills, refusals = counted
    async with turn:
        execution_id = await again(lambda: orchestrator.submit_workflow(workflow, key=key), refusals)
        result = await again(lambda: orchestrator.wait(execution_id), refusals)
        record = await again(lambda: record_of(orchestrator, execution_id), refusals)
    log.warning("%s %s after %d kills", execution_id, result.status, kills.total())
    faults = record.faults(frozenset(task.id for task in workflow.tasks))
    if result.status is not ExecutionState.SUCCEEDED:
        faults = [*faults, f"it ended {result.status}"]
    return [f"{execution_id}: {fault}" for fault in faults]


async def measure(executions: int, tasks: int, every_s: float, directory: Path) -> dict[str, object]:
    """Return the figures and the faults of one run."""
    cluster = Cluster(directory, servers=NODES)
    kills: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for worker_id in ("w1", "w2"):
        cluster.add_worker(worker_id, "--slots", "64")
    try:
        await cluster.start()
        begun = time.monotonic()
        async with await connect(cluster.url) as orchestrator:
            killing = asyncio.create_task(kill_in_turn(cluster, every_s, kills))
            turn = asyncio.Semaphore(AT_ONCE)
            workflow = layered(tasks)
            found = await asyncio.gather(
                *(
                    execute(orchestrator, workflow, f"nodes-{number}", turn, (kills, refusals))
                    for number in range(executions)
                )
            )
            took = time.monotonic() - begun
            killing.cancel()
            await asyncio.wait([killing])
            for name in NODES:
                if not cluster[name].is_running:
                    await cluster.start(name)
            left = await pool_is_empty(orchestrator, EMPTY_S)
        verified = await Verifier().server(cluster.url)
        faults = [*(fault for each in found for fault in each), *([left] if left else []), *verified]
        return {
            "executions": executions,
            "tasks": executions * tasks,
            "seconds": round(took, 1),
            "kills": dict(kills),
            "asked_again": refusals.total(),
            "faults": [*faults, *cluster.tracebacks()],
        }
    finally:
        cluster.discard()


def main() -> int:
    """Run it, and end with 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--every", type=float, default=10.0, help="seconds from one kill to the next")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcome = run(measure(asked.executions, asked.tasks, asked.every, Path(directory)))
    sys.stdout.write(json.dumps(outcome, indent=2) + "\n")
    return 1 if outcome["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
