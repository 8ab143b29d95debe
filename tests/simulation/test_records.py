"""Goal: what judges histories of real processes notices a second outcome, a gap, a leak and a traceback.

Method: a golden history and an empty pool, which are healthy, and the same with one thing wrong.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.fuzz.actors import logs

from talka_chaos.processes import Cluster
from talka_chaos.records import OUTCOMES, Record, pool_is_empty
from talka_protocols.commit import Commit, Decision, decode_commit
from talka_protocols.events import Event
from talka_protocols.subjects import EXECUTION

TRACEBACK = """\
02:00:00 INFO event=ready
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    raise ValueError("planted")
ValueError: planted
02:00:01 INFO event=on
"""


def golden() -> Record:
    """Return what is recorded of an execution that went well."""
    (name, bodies) = next((name, bodies) for name, bodies in logs("extension") if name.kind == EXECUTION)
    commits = tuple((place, decode_commit(name, body)) for place, body in enumerate(bodies, 1))
    return Record(name.key, cast("Any", commits))


def tasks_of(record: Record) -> frozenset[str]:
    """Return the tasks that have an outcome."""
    return frozenset(event.task_id for _, event in record.events if isinstance(event, OUTCOMES))


def with_more(record: Record, *events: Event, gap: int = 0) -> Record:
    """Return a record with one more commit."""
    last = max(version for version, _ in record.events)
    commit: Commit[Event] = Commit(last + 1 + gap, 0, 0, (Decision("", events),))
    return replace(record, commits=(*record.commits, (len(record.commits) + 1, commit)))


def outcome_in(record: Record) -> Event:
    """Return the outcome that was recorded last."""
    return [event for _, event in record.events if isinstance(event, OUTCOMES)][-1]


def test_a_healthy_history_has_no_faults() -> None:
    record = golden()
    assert tasks_of(record)
    assert record.faults(tasks_of(record)) == []


def test_a_second_outcome_and_a_missing_one_are_noticed() -> None:
    """However alike the two are, one of them is too many; and a task that has none is named."""
    record = golden()
    outcome = outcome_in(record)
    doubled = with_more(record, outcome).faults(tasks_of(record))
    assert f"task {cast('Any', outcome).task_id!r} has 2 outcomes" in doubled
    assert "task 'missing' has 0 outcomes" in record.faults(tasks_of(record) | {"missing"})


def test_a_gap_is_noticed() -> None:
    """A commit that is gone leaves its versions missing."""
    record = golden()
    assert "the versions have gaps" in with_more(record, outcome_in(record), gap=1).faults(tasks_of(record))
    lacking = replace(record, commits=record.commits[:3] + record.commits[4:])
    assert "the versions have gaps" in lacking.faults(tasks_of(record))
    assert lacking.began_as(record) is False


@pytest.mark.parametrize(
    ("grants", "waiting", "left"),
    [({}, {}, ""), ({"a-1": 1}, {}, "grants: ['a-1']"), ({}, {"r-1": 1}, "waiting: ['r-1']")],
)
def test_what_a_pool_still_holds_is_noticed(
    grants: dict[str, int], waiting: dict[str, int], left: str
) -> None:
    """Nothing is held or waited for once all has ended."""

    async def pool(_name: str) -> Any:
        return SimpleNamespace(grants=grants, waiting=waiting)

    orchestrator = cast("Any", SimpleNamespace(histories=SimpleNamespace(pool=pool)))
    found = asyncio.run(pool_is_empty(orchestrator, 0.0))
    assert left in found
    assert bool(found) is bool(left)


def test_a_traceback_is_noticed(tmp_path: Path) -> None:
    """It is told under the name of the process that logged it, and only what belongs to it."""
    cluster = Cluster(tmp_path)
    log = cluster["scheduler"].log
    log.write_text("02:00:00 INFO event=ready\n")
    assert cluster.tracebacks() == []
    log.write_text(TRACEBACK)
    (found,) = cluster.tracebacks()
    assert found.startswith("scheduler: Traceback")
    assert found.endswith("ValueError: planted")
