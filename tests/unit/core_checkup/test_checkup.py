"""The checkup: what is wrong is found by its name, with what to do; what is well is said to be."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from talka_core.checkup import Finding, Level, ServerFacts, Skew, StorageFacts, StreamFacts, checkup

LOG = {"name": "log", "subjects": ["log.>"], "storage": "file", "allow_msg_schedules": True, "max_age": 9}
INBOX = {"name": "inbox", "subjects": ["inbox.>"], "storage": "memory"}
GIB = 2**30
WELL = ServerFacts(
    "nats://here:4222",
    (2, 12),
    max_payload=8_000_000,
    skew=Skew(3.0, 1.0),
    is_synced=True,
    streams=(StreamFacts(LOG, LOG, 5), StreamFacts(INBOX)),
)


def stream(present: dict[str, Any] | None = None, **changes: Any) -> ServerFacts:
    """Return the facts of a cluster whose log stream differs from what it should be."""
    config = {**LOG, "num_replicas": 3, **(present or {})}
    facts = replace(StreamFacts(LOG, config, 5, "a"), **changes)
    return replace(WELL, cluster="three", streams=(facts,))


def wrong(facts: ServerFacts) -> list[Finding]:
    """Return the findings that are not all right; each says what to do."""
    found = [finding for finding in checkup(facts) if finding.level is not Level.OK]
    assert all(finding.advice for finding in found)
    return found


def test_nothing_is_wrong_where_all_is_well() -> None:
    """Every check says so, and what it looked at."""
    found = checkup(WELL)
    assert {finding.level for finding in found} == {Level.OK}
    checks = {"reachable", "version", "jetstream", "clock", "sync", "storage", "streams", "permissions"}
    assert {finding.check for finding in found} == checks
    replicated = checkup(stream())
    assert {finding.level for finding in replicated} == {Level.OK}
    assert "replication" in {finding.check for finding in replicated}


@pytest.mark.parametrize(
    ("facts", "check", "level"),
    [
        (replace(WELL, version=(2, 11)), "version", Level.ERROR),
        (replace(WELL, version=(1, 99)), "version", Level.ERROR),
        (replace(WELL, jetstream_fault="it is off"), "jetstream", Level.ERROR),
        (replace(WELL, max_payload=65_536), "payload", Level.WARNING),
        (replace(WELL, skew=Skew(-2_000.0, 10.0)), "clock", Level.WARNING),
        (replace(WELL, skew=Skew(60_000.0, 10.0)), "clock", Level.ERROR),
        (replace(WELL, is_synced=False), "sync", Level.WARNING),
        (replace(WELL, is_synced=None), "sync", Level.UNKNOWN),
        (replace(WELL, file=StorageFacts(9 * GIB, 0, 10 * GIB)), "storage", Level.WARNING),
        (replace(WELL, memory=StorageFacts(0, 10 * GIB, 10 * GIB)), "storage", Level.ERROR),
        (replace(WELL, refused=("log.x",)), "permissions", Level.ERROR),
        (replace(WELL, streams=(StreamFacts(LOG), StreamFacts(INBOX, INBOX))), "streams", Level.ERROR),
        (replace(WELL, streams=(StreamFacts(LOG), StreamFacts(INBOX))), "streams", Level.WARNING),
        (stream({"storage": "memory"}), "streams", Level.ERROR),
        (stream({"allow_msg_schedules": False}), "streams", Level.WARNING),
        (stream({"max_age": 0}), "streams", Level.WARNING),
        (stream({"num_replicas": 1}), "replication", Level.WARNING),
        (stream(behind=("c",)), "replication", Level.WARNING),
        (stream(leader=""), "replication", Level.ERROR),
    ],
)
def test_what_is_wrong_is_found_alone(facts: ServerFacts, check: str, level: Level) -> None:
    """One thing wrong is one finding, as bad as it is."""
    assert [(finding.check, finding.level) for finding in wrong(facts)] == [(check, level)]


def test_a_clock_is_not_blamed_for_what_a_slow_answer_may_explain() -> None:
    assert wrong(replace(WELL, skew=Skew(5_000.0, 4_500.0))) == []


def test_nothing_more_is_said_of_a_server_without_jetstream() -> None:
    """Streams that nobody could ask for are not said to be missing."""
    checks = [finding.check for finding in checkup(replace(WELL, jetstream_fault="it is off", streams=()))]
    assert checks == ["reachable", "version", "jetstream"]
