"""How long nobody decides after the owner of all shards was killed: ``python -m tests.nightly.failover``.

Two schedulers take turns: the one that owns the shards is killed in the middle of a run of steady
work, and started again as the one that stands by. Prints one JSON object; times are in seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from talka import Orchestrator, Task, WorkflowBuilder, connect
from talka_chaos.processes import Cluster
from talka_protocols.workflow import Workflow
from talka_services.jetstream.api import last_message
from talka_services.loop import run

log = logging.getLogger(__name__)

KILLS = 20
LATE_S = 0.3
"""What arrives within this time of a kill may have been decided before it."""


def steady() -> Workflow:
    """Return a chain of short waits that outlasts a takeover."""
    builder = WorkflowBuilder("steady")
    for number in range(600):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.02}))
        if number:
            builder.add_dependency(f"t{number - 1}", f"t{number}")
    return builder.build()


async def owner_of(orchestrator: Orchestrator, cluster: Cluster, execution_id: str) -> str:
    """Return the name of the process that owns the shard of an execution."""
    names = orchestrator.node.connection.names
    shard = orchestrator.histories.name(execution_id).shard
    bucket = names.bucket("leases")
    place = f"KV_{bucket}", f"$KV.{bucket}.lease.scheduler.{shard}"
    while True:
        stored = await last_message(orchestrator.node.connection, *place)
        holder = json.loads(stored.data)["holder"] if stored is not None and stored.data else ""
        for name in ("scheduler", "scheduler-2"):
            if cluster[name].is_running and holder.endswith(f":{cluster[name].pid}"):
                return name
        await asyncio.sleep(0.05)


async def kill_once(orchestrator: Orchestrator, cluster: Cluster) -> float:
    """Kill the owner in the middle of a run; return how long it took until the next decision."""
    execution_id = await orchestrator.submit_workflow(steady())
    feed = orchestrator.node.ports.log.follow(orchestrator.histories.name(execution_id))
    commits = 0
    async for _commit in feed:
        commits += 1
        if commits == 50:
            break
    name = await owner_of(orchestrator, cluster, execution_id)
    cluster[name].kill()
    killed_at = time.monotonic()
    async for _commit in feed:
        if time.monotonic() - killed_at > LATE_S:
            break
    took = time.monotonic() - killed_at
    await feed.aclose()
    await cluster.start(name)
    await orchestrator.cancel_execution(execution_id)
    await orchestrator.wait(execution_id)
    return took


async def measure(directory: Path) -> dict[str, object]:
    """Return the times of all takeovers."""
    cluster = Cluster(directory)
    cluster.add_standby("scheduler")
    cluster.add_worker("w1")
    try:
        await cluster.start()
        async with await connect(cluster.url) as orchestrator:
            times: list[float] = []
            for _ in range(KILLS):
                times.append(await kill_once(orchestrator, cluster))
                log.warning("%.2f s", times[-1])
    finally:
        cluster.discard()
    rounded = sorted(round(each, 2) for each in times)
    return {"kills": KILLS, "p50": statistics.median(rounded), "max": rounded[-1], "all": rounded}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(json.dumps(run(measure(Path(place)))) + "\n")
