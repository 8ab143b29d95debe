"""How long nobody decides after an owner was killed: ``python -m tests.nightly.failover [SERVICE...]``.

Two processes of a service take turns: the one that owns what is at work is killed in the middle of steady
work, and started again as the one that stands by. Prints one JSON object; times are in seconds, from the
kill to the first decision that the other one recorded beside its having taken over. Ends with 1 where a
time is over what is promised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

from talka import Orchestrator, ResourceRequirements, Task, WorkflowBuilder, connect
from talka_chaos.processes import SERVICES, Cluster
from talka_chaos.records import until_done
from talka_protocols.events import PoolOwnershipTaken
from talka_protocols.subjects import EXECUTION, PLAN, POOL, LogName, shard_of
from talka_protocols.workflow import Workflow
from talka_services.jetstream.api import last_message
from talka_services.loop import run

log = logging.getLogger(__name__)

PROMISED_S = 3.0
KILLS = 20
BEGUN = 50
"""So many tasks have ended before the owner dies."""
POOL_LOG = LogName(POOL, "-", "default")


def steady() -> Workflow:
    """Return a chain of short waits that outlasts a takeover; each task needs an allocation of its own.

    One that asks for the same as the task before it would be given that one's.
    """
    builder = WorkflowBuilder("steady")
    for number in range(600):
        needs = ResourceRequirements(custom_resources={"seats": 1 + number % 2})
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.02}, resources=needs))
        if number:
            builder.add_dependency(f"t{number - 1}", f"t{number}")
    return builder.build()


async def owner_of(orchestrator: Orchestrator, cluster: Cluster, service: str, address: str) -> str:
    """Return the name of the process that owns a shard or pool."""
    connection = orchestrator.node.connection
    stream = connection.names.kv_stream("leases")
    while True:
        stored = await last_message(connection, stream, connection.names.lease(f"{service}.{address}"))
        holder = json.loads(stored.data)["holder"] if stored is not None and stored.data else ""
        for name in (service, f"{service}-2"):
            if cluster[name].is_running and holder.endswith(f":{cluster[name].pid}"):
                return name
        await asyncio.sleep(0.05)


async def until_divided(orchestrator: Orchestrator, cluster: Cluster, service: str) -> None:
    """Return when both processes own as many shards: what is handed over is taken over at once."""
    shards = [str(shard) for shard in range(orchestrator.node.ports.shards)]
    while True:
        owners = [await owner_of(orchestrator, cluster, service, shard) for shard in shards]
        if max(Counter(owners).values()) * 2 == len(shards):
            return
        await asyncio.sleep(0.1)


async def until_decided(orchestrator: Orchestrator, name: LogName, kill: Callable[[], None]) -> float:
    """Kill the owner of a log after its last commit; return how long it took until the other decided."""
    commits = await orchestrator.histories.commits(name)
    after, epoch = (commits[-1][0], commits[-1][1].epoch) if commits else (0, 0)
    kill()
    killed_at = time.monotonic()
    async with aclosing(orchestrator.histories.follow_commits(name, after)) as feed:
        async for _position, commit in feed:
            decided = [event for _version, _cause, event in commit.events()]
            if commit.epoch > epoch and not all(isinstance(each, PoolOwnershipTaken) for each in decided):
                break
    return time.monotonic() - killed_at


async def kill_planner(orchestrator: Orchestrator, cluster: Cluster) -> tuple[str, float]:
    """Kill the planner that would plan an execution which is submitted then."""
    execution_id = uuid4().hex
    plan = LogName(PLAN, shard_of(execution_id, orchestrator.node.ports.shards), execution_id)
    name = await owner_of(orchestrator, cluster, "planner", plan.shard)
    submitting: list[asyncio.Task[str]] = []

    def kill() -> None:
        cluster[name].kill()
        short = WorkflowBuilder("short").add_task(Task("a", "sleep", payload={"seconds": 0})).build()
        request = orchestrator.submit_workflow(short, execution_id=execution_id)
        submitting.append(asyncio.create_task(request))

    took = await until_decided(orchestrator, plan, kill)
    await orchestrator.wait(await submitting[0])
    return name, took


async def kill_at_work(orchestrator: Orchestrator, cluster: Cluster, service: str) -> tuple[str, float]:
    """Kill the scheduler or the resource service in the middle of an execution."""
    execution_id = await orchestrator.submit_workflow(steady())
    name = LogName(EXECUTION, shard_of(execution_id, orchestrator.node.ports.shards), execution_id)
    await until_done(orchestrator, execution_id, BEGUN)
    address, watched = (name.shard, name) if service == "scheduler" else (POOL_LOG.key, POOL_LOG)
    owner = await owner_of(orchestrator, cluster, service, address)
    took = await until_decided(orchestrator, watched, cluster[owner].kill)
    await orchestrator.cancel_execution(execution_id)
    await orchestrator.wait(execution_id)
    return owner, took


async def kill_owner(orchestrator: Orchestrator, cluster: Cluster, service: str) -> tuple[str, float]:
    """Kill the owner of what is at work; return its name, and how long nobody decided."""
    if service != "resource":
        await until_divided(orchestrator, cluster, service)
    if service == "planner":
        return await kill_planner(orchestrator, cluster)
    return await kill_at_work(orchestrator, cluster, service)


async def measure(directory: Path, service: str) -> Mapping[str, object]:
    """Return the times of all takeovers of a service."""
    cluster = Cluster(directory)
    cluster.add_standby(service)
    cluster.add_worker("w1", "--capacity", "seats=8")
    times: list[float] = []
    try:
        await cluster.start()
        async with await connect(cluster.url) as orchestrator:
            for _ in range(KILLS):
                name, took = await kill_owner(orchestrator, cluster, service)
                await cluster.start(name)
                times.append(took)
                log.warning("%s: %.2f s", name, took)
    finally:
        cluster.discard()
    rounded = sorted(round(each, 2) for each in times)
    return {"kills": KILLS, "p50": round(statistics.median(times), 2), "max": rounded[-1], "all": rounded}


def main() -> int:
    """Measure each service, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", default=SERVICES, metavar="SERVICE", help=", ".join(SERVICES))
    found: dict[str, Mapping[str, object]] = {}
    for service in parser.parse_args().services:
        with tempfile.TemporaryDirectory() as place:
            found[service] = run(measure(Path(place), service))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if all(float(str(each["max"])) <= PROMISED_S for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
