"""Executions from the golden histories, as records that can be simulated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from talka_core.history import FOLDS, apply
from talka_core.scheduler import ExecutionRecord
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.subjects import EXECUTION, POOL, LogName

HISTORIES = sorted((Path(__file__).parents[2] / "replay" / "histories").glob("*.jsonl"))


def commits_of(path: Path) -> dict[LogName, list[Commit[Any]]]:
    """Return the commits of a golden history by log."""
    found: dict[LogName, list[Commit[Any]]] = {}
    for text in path.read_bytes().splitlines():
        fields = msgspec.json.decode(text, type=dict[str, Raw])
        log = msgspec.json.decode(fields["log"], type=LogName)
        if "commit" in fields:
            found.setdefault(log, []).append(decode_commit(log, bytes(fields["commit"])))
    return found


def executions(path: Path) -> Iterator[tuple[ExecutionRecord, list[Any], list[tuple[int, Any]]]]:
    """Yield each execution of a history: state, events, and the timed events of its pool."""
    logs = commits_of(path)
    pool = [
        (commit.at, event)
        for log, commits in logs.items()
        if log.kind == POOL
        for commit in commits
        for _, _, event in commit.events()
    ]
    for log, commits in logs.items():
        if log.kind == EXECUTION:
            state = apply(FOLDS[EXECUTION], FOLDS[EXECUTION].initial(log.key), commits)
            yield state, [event for commit in commits for _, _, event in commit.events()], pool
