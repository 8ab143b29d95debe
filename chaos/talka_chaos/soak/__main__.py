"""``python -m talka_chaos.soak --minutes 60 --load 0.7``: steady load with kills, and nothing may grow.

The server, two processes of each service, two workers, an archiver, a gateway and a projector are processes
of their own. Some are killed in turn and started again; one of each kind lives to the end, so that its memory
says something. The archiver takes what is over away all the time. Says on stderr now and then how far it is,
prints one JSON object, and fails if an execution is lost or did not succeed, if the audit finds something, or
if memory, open handles or a stream grew.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct, field

from talka_chaos.processes import NATS, SERVICES, Cluster, free_port
from talka_chaos.soak.load import Load, peak
from talka_chaos.soak.samples import Samples, bytes_below, sample
from talka_protocols.errors import TalkaError
from talka_protocols.states import ExecutionState
from talka_services.client import Orchestrator, connect
from talka_services.client.audits import audit
from talka_services.loop import run

SAMPLES = 60
"""How many samples are taken, whatever the time."""
SETTLED_S = 120.0
DOWN_S = 1.0
ASKED_AT_ONCE = 32
ARCHIVER = "archiver"
WORKERS = ("w1", "w2")
READERS = ("gateway", "projector")
KILLED = (NATS, *SERVICES, ARCHIVER, "w1")
"""The others live to the end."""


class Soak(Struct):
    """What is asked for, and what happened."""

    minutes: float
    load: float
    seed: int
    kill_every_s: float
    retain_s: float
    kills: Counter[str] = field(default_factory=Counter[str])


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the load lasts.")] = 60.0,
    load: Annotated[float, typer.Option(min=0.01, max=1.0, help="The share of the measured peak.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Which processes are killed, and when.")] = 1,
    kill_every: Annotated[float, typer.Option(min=1.0, help="Seconds between kills.")] = 20.0,
    retain: Annotated[float, typer.Option(min=1.0, help="Seconds until what is over is archived.")] = 5.0,
) -> None:
    """Let the platform work for a while, with faults, and tell whether anything grew or was lost."""
    summary = run(_soak(Soak(minutes, load, seed, kill_every, retain)))
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    sys.exit(0 if summary["healthy"] else 1)


async def _soak(soak: Soak) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="talka-soak-") as directory:
        cluster = Cluster(Path(directory))
        for worker_id in WORKERS:
            cluster.add_worker(worker_id)
        standbys = [cluster.add_standby(service).name for service in SERVICES]
        cluster.configure("gateway", "--port", str(free_port()))
        cluster.configure("projector", "--database", f"{directory}/model.sqlite")
        cluster.configure(
            ARCHIVER, "--retain", f"{soak.retain_s:g}s", "--every", "5s", "--to", f"{directory}/archive"
        )
        try:
            await cluster.start(NATS, *SERVICES, *standbys, *WORKERS, *READERS, ARCHIVER)
            async with await connect(cluster.url) as orchestrator:
                most = await peak(orchestrator, min(60.0, 6 * soak.minutes))
                return await _under_load(soak, cluster, orchestrator, most)
        finally:
            cluster.discard()


async def _under_load(
    soak: Soak, cluster: Cluster, orchestrator: Orchestrator, most: float
) -> dict[str, Any]:
    load, samples, seconds = Load(orchestrator, soak.load * most), Samples(), 60 * soak.minutes
    working = asyncio.create_task(load.run(seconds), name="load")
    watching = asyncio.create_task(_watch(samples, cluster, load, seconds), name="samples")
    killing = asyncio.create_task(_kill_now_and_then(soak, cluster), name="kills")
    try:
        await working
    finally:
        for task in (killing, watching):
            task.cancel()
        await asyncio.wait((killing, watching))
    if killed := [name for name, program in cluster.programs.items() if not program.is_running]:
        await cluster.start(*killed)
    unsettled = await _settled(orchestrator, load.submitted)
    ports = orchestrator.node.ports
    found = await audit(ports.log, snapshots=ports.snapshots)
    courses = samples.courses()
    grown = sorted(name for name, course in courses.items() if not course.is_flat)
    problems = [repr(killing.exception())] if not killing.cancelled() and killing.exception() else []
    return {
        "healthy": not (unsettled or found.count or grown or cluster.tracebacks() or problems),
        "minutes": soak.minutes,
        "peak_per_s": round(most, 2),
        "submitted": len(load.submitted),
        "refused": load.refused,
        "not_succeeded": unsettled,
        "kills": dict(soak.kills),
        "audited": {"events": found.summary.events, "violations": found.count},
        "archive_bytes": bytes_below(cluster.directory / "archive"),
        "store_bytes": bytes_below(cluster.store),
        "grown": grown,
        "figures": {
            name: {"early": round(course.early, 2), "late": round(course.late, 2)}
            for name, course in courses.items()
        },
        "tracebacks": cluster.tracebacks(),
        "problems": problems,
    }


async def _watch(samples: Samples, cluster: Cluster, load: Load, seconds: float) -> None:
    began = time.monotonic()
    while True:
        minutes = (time.monotonic() - began) / 60
        try:
            taken = await sample(samples, cluster, load.orchestrator)
        except TalkaError as error:
            # The server is away: the next sample is as good.
            taken = f"no sample: {error}"
        typer.echo(f"{minutes:.1f} min, {len(load.submitted)} submitted, {taken}", err=True)
        await asyncio.sleep(seconds / SAMPLES)


async def _kill_now_and_then(soak: Soak, cluster: Cluster) -> None:
    """Kill one process after another, and start it again a moment later."""
    draw = random.Random(soak.seed)  # noqa: S311  (the same for the same seed)
    while True:
        await asyncio.sleep(draw.uniform(0.5, 1.5) * soak.kill_every_s)
        name = draw.choice(KILLED)
        soak.kills[name] += 1
        cluster[name].kill()
        await asyncio.sleep(DOWN_S)
        await cluster.start(name)


async def _settled(orchestrator: Orchestrator, submitted: list[str]) -> dict[str, str]:
    """Return which executions did not come to a good end in time, and how they stand."""
    left: dict[str, str] = dict.fromkeys(submitted, "")
    ends_at = time.monotonic() + SETTLED_S
    while left:
        names = list(left)
        for start in range(0, len(names), ASKED_AT_ONCE):
            some = names[start : start + ASKED_AT_ONCE]
            stand = await asyncio.gather(*(_standing(orchestrator, execution_id) for execution_id in some))
            left.update(zip(some, stand, strict=True))
        left = {name: state for name, state in left.items() if state != ExecutionState.SUCCEEDED.value}
        if time.monotonic() > ends_at:
            break
        await asyncio.sleep(0.5)
    return left


async def _standing(orchestrator: Orchestrator, execution_id: str) -> str:
    """Return the state of an execution, or why it cannot be told."""
    try:
        return (await orchestrator.get_execution_status(execution_id)).status.value
    except TalkaError as error:
        return str(error)


if __name__ == "__main__":
    typer.run(main)
