"""The checkup: what is wrong is found by its name, with what to do; what is well is said to be."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from talka_core.checkup import (
    Finding,
    Level,
    NodeFacts,
    ServerFacts,
    Skew,
    StorageFacts,
    StreamFacts,
    checkup,
)

LOG = {"name": "log", "subjects": ["log.>"], "storage": "file", "allow_msg_schedules": True, "max_age": 9}
INBOX = {"name": "inbox", "subjects": ["inbox.>"], "storage": "memory"}
GIB = 2**30
WELL = ServerFacts(
    "nats://here:4222",
    (2, 12),
    max_payload=8_000_000,
    skews={"": Skew(3.0, 1.0)},
    is_synced=True,
    disk_free=100 * GIB,
    streams=(StreamFacts(LOG, LOG, 5), StreamFacts(INBOX)),
)


NODE = NodeFacts("n1", (2, 12), is_synced=True, skew=Skew(3.0, 1.0))


def stream(present: dict[str, Any] | None = None, **changes: Any) -> ServerFacts:
    """Return the facts of a cluster whose log stream differs from what it should be."""
    config = {**LOG, "num_replicas": 3, **(present or {})}
    facts = replace(StreamFacts(LOG, config, 5, "a"), **changes)
    return replace(WELL, cluster="three", streams=(facts,))


def nodes(**changes: Any) -> ServerFacts:
    """Return the facts of servers of which all but the last are well."""
    each = (replace(NODE, name=name) for name in ("n1", "n2"))
    return replace(WELL, is_synced=None, disk_free=None, nodes=(*each, replace(NODE, name="n3", **changes)))


def wrong(facts: ServerFacts) -> list[Finding]:
    """Return the findings that are not all right; each says what to do."""
    found = [finding for finding in checkup(facts) if finding.level is not Level.OK]
    assert all(finding.advice for finding in found)
    return found


def test_nothing_is_wrong_where_all_is_well() -> None:
    """Every check says so, and what it looked at."""
    found = checkup(WELL)
    assert {finding.level for finding in found} == {Level.OK}
    checks = {
        *("reachable", "version", "jetstream", "clock", "sync", "disk", "storage", "streams", "permissions")
    }
    assert {finding.check for finding in found} == checks
    told = checkup(nodes())
    assert {finding.level for finding in told} == {Level.OK}
    assert {finding.check for finding in told} == {*checks, "health"} - {"disk"}
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
        (replace(WELL, skews={"": Skew(-2_000.0, 10.0)}), "clock", Level.WARNING),
        (replace(WELL, skews={"a": Skew(1.0, 1.0), "b": Skew(60_000.0, 10.0)}), "clock", Level.ERROR),
        (replace(WELL, is_synced=False), "sync", Level.WARNING),
        (replace(WELL, is_synced=None), "sync", Level.UNKNOWN),
        (replace(WELL, file=StorageFacts(9 * GIB, 0, 10 * GIB)), "storage", Level.WARNING),
        (replace(WELL, memory=StorageFacts(10 * GIB, 0, 10 * GIB)), "storage", Level.ERROR),
        (replace(WELL, file=StorageFacts(0, 10 * GIB, 10 * GIB)), "storage", Level.WARNING),
        (replace(WELL, disk_free=GIB), "disk", Level.WARNING),
        (replace(WELL, disk_free=GIB // 8), "disk", Level.ERROR),
        (replace(WELL, disk_free=None), "disk", Level.UNKNOWN),
        (nodes(version=(2, 11)), "version", Level.ERROR),
        (nodes(fault="no space left on device"), "health", Level.ERROR),
        (nodes(skew=Skew(-60_000.0, 10.0)), "clock", Level.ERROR),
        (nodes(is_synced=False), "sync", Level.WARNING),
        (nodes(file=StorageFacts(99 * GIB, 0, 100 * GIB)), "storage", Level.ERROR),
        (replace(WELL, refused=("log.x",)), "permissions", Level.ERROR),
        (replace(WELL, streams=(StreamFacts(LOG), StreamFacts(INBOX, INBOX))), "streams", Level.ERROR),
        (replace(WELL, streams=(StreamFacts(LOG), StreamFacts(INBOX))), "streams", Level.WARNING),
        (stream({"storage": "memory"}), "streams", Level.ERROR),
        (stream({"allow_msg_schedules": False}), "streams", Level.WARNING),
        (stream({"max_age": 0}), "streams", Level.WARNING),
        (stream({"num_replicas": 1}), "replication", Level.WARNING),
        (stream(behind=("c",)), "replication", Level.WARNING),
        (stream(leader=""), "replication", Level.ERROR),
        (replace(WELL, streams=(StreamFacts(LOG, is_silent=True),)), "replication", Level.ERROR),
        (
            replace(WELL, cluster="three", streams=(StreamFacts(LOG, is_silent=True),)),
            "replication",
            Level.ERROR,
        ),
    ],
)
def test_what_is_wrong_is_found_alone(facts: ServerFacts, check: str, level: Level) -> None:
    """One thing wrong is one finding, as bad as it is."""
    found = [finding for finding in wrong(facts) if "several versions" not in finding.message]
    assert [(finding.check, finding.level) for finding in found] == [(check, level)]


def test_an_upgrade_that_was_not_finished_is_found() -> None:
    """It names what each server is."""
    (found,) = wrong(nodes(version=(2, 15)))
    assert (found.check, found.level) == ("version", Level.WARNING)
    assert "n1 is 2.12, n2 is 2.12, n3 is 2.15" in found.message


def test_the_clocks_of_servers_that_tell_of_themselves_are_looked_at_once() -> None:
    """By what they tell; those of the others by who answers about the streams."""
    skews = {"n1": Skew(2.0, 1.0), "n4": Skew(2.0, 1.0)}
    clocks = [each.subject for each in checkup(replace(nodes(), skews=skews)) if each.check == "clock"]
    assert clocks == ["n1", "n2", "n3", "n4"]


def test_a_cluster_without_a_majority_is_told_to_start_its_servers() -> None:
    """Not to have JetStream enabled, which it has."""
    (found,) = wrong(replace(WELL, cluster="three", jetstream_fault="temporarily unavailable (10008)"))
    assert found.advice.startswith("More than half of the servers must run")


def test_a_clock_is_not_blamed_for_what_a_slow_answer_may_explain() -> None:
    assert wrong(replace(WELL, skews={"": Skew(5_000.0, 4_500.0)})) == []


def test_nothing_more_is_said_of_a_server_without_jetstream() -> None:
    """Streams that nobody could ask for are not said to be missing."""
    checks = [finding.check for finding in checkup(replace(WELL, jetstream_fault="it is off", streams=()))]
    assert checks == ["reachable", "version", "jetstream"]
