"""What is recorded by the shell around the actors: who owns a shard or a pool, and which logs are live."""

from __future__ import annotations

from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.subjects import POOL, SHARD, LogName

AT_MS = 1_700_000_000_000


def _commits(*events: Any) -> list[Commit[Any]]:
    """Return a commit for each event."""
    return [
        Commit(version, AT_MS + version, 1, (Decision("", (event,)),))
        for version, event in enumerate(events, 1)
    ]


OWNERSHIP = {
    LogName(SHARD, "scheduler", "0"): _commits(
        e.OwnershipTaken(1, "a"),
        e.LogsOpened(("first", "second")),
        e.LogsClosed(("first",)),
        e.OwnershipTaken(2, "b"),
    ),
    LogName(POOL, "-", "default"): _commits(
        e.PoolOwnershipTaken(1, "a"),
        e.WorkerJoined("w1", 1, (AGENT_TYPE,), 4, {"cpu_cores": 2.0}),
        e.PoolOwnershipTaken(2, "b"),
    ),
}
"""A shard and a pool each get another owner, and one of the shard's logs is over."""
