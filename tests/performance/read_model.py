"""Measures how fast the read model is made: ``python -m tests.performance.read_model [EVENTS] [PLACE...]``.

It prints events per second of processor time, and whether all models are equal.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.readmodel import Stream, projector, rows

from talka_chaos.graphs import random_workflow
from talka_chaos.model import Model
from talka_protocols.commit import decode_commit
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import LogName
from talka_services.projection import open_view

TASKS = 100
GRAPHS = 20


def long_log(least: int) -> tuple[list[StoredCommit], int]:
    """Return a log of so many events, execution after execution, and the number of its events."""
    models: list[Model] = []
    for seed in range(GRAPHS):
        model = Model({"w1": 8.0, "w2": 8.0})
        model.submit(random_workflow(Random(seed), "e", TASKS))
        model.finish()
        models.append(model)
    commits: list[StoredCommit] = []
    events = number = 0
    while events < least:
        for player in models[number % GRAPHS].players.values():
            name = LogName(player.name.kind, player.name.shard, f"{player.name.key}-{number}")
            for body in player.commits:
                commits.append(StoredCommit(name, len(commits) + 1, body, ""))
                events += len(decode_commit(name, body))
        number += 1
    return commits, events


def measured(place: str, commits: list[StoredCommit], events: int, page: int) -> object:
    """Make a model at a place, print how fast that was, and return what it says."""
    view = open_view(place)
    view.reset("stream")
    began_s, used_s = time.monotonic(), sum(os.times()[:2])
    asyncio.run(projector(view, Stream(commits, page)).catch_up())
    wall_s, cpu_s = time.monotonic() - began_s, sum(os.times()[:2]) - used_s
    kind = place.partition(":")[0] if "://" in place else "sqlite"
    sys.stdout.write(
        f"{kind}, {page} commits a page: {wall_s:.1f} s, {cpu_s:.1f} CPU s, "
        f"{events / cpu_s:,.0f} events/CPU s\n"
    )
    said = rows(view)
    view.close()
    return said


def main(least: int = 100_000, *databases: str) -> None:
    """Measure SQLite in large and small pages, and the databases that are named."""
    commits, events = long_log(least)
    sys.stdout.write(f"{len(commits):,} commits, {events:,} events\n")
    with TemporaryDirectory() as directory:
        rebuilt = measured(str(Path(directory, "rebuilt")), commits, events, 2_000)
        others = [measured(str(Path(directory, "live")), commits, events, 20)]
        others += [measured(place, commits, events, 2_000) for place in databases]
    sys.stdout.write(f"all equal: {all(other == rebuilt for other in others)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000, *sys.argv[2:])
