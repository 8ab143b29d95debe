"""The checks: each looks at the facts and yields what it finds, also that all is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from talka_core.checkup.facts import Finding, Level, ServerFacts, StreamFacts
from talka_core.checkup.servers import clock, disk, node, shown_size, storage, syncing, version, versions

PAYLOAD_MIN = 1_000_000
"""Bytes. Commits are split by the server's limit; below this one large decisions take many messages."""
KEPT = ("storage", "subjects", "max_msgs_per_subject")
"""What makes a stream another one if it differs."""
NEEDED = ("allow_msg_schedules", "allow_rollup_hdrs", "allow_msg_ttl", "deny_delete")
BOUNDS = ("max_age", "max_bytes")
REPLICAS_MIN = 3
RESTART = "Look at the server's log, and start it again."
MAJORITY = "More than half of the servers must run and reach each other: start those that do not."


def checkup(facts: ServerFacts) -> list[Finding]:
    """Return what every check finds, in the order in which one would mend it."""
    found = [*_server(facts), *versions(facts.nodes)]
    for each in facts.nodes:
        found += node(each)
    if facts.jetstream_fault:
        return found
    told = {each.name for each in facts.nodes}
    for server, skew in facts.skews.items():
        if server not in told and (server or not told):
            found += clock(server or facts.address, skew)
    if not facts.nodes:
        found += syncing(facts.address, facts.is_synced)
    if facts.disk_free is not None or not facts.nodes:
        found += disk(facts.address, facts.disk_free)
    found += [*storage("file", facts.file), *storage("memory", facts.memory)]
    if all(stream.present is None and not stream.is_silent for stream in facts.streams):
        advice = "Start `talka service planner` or `talka up`; whoever comes first makes the streams."
        return [
            *found,
            Finding("streams", Level.WARNING, facts.address, "No platform has begun here.", advice),
        ]
    for stream in facts.streams:
        found += _stream(facts, stream)
    return [*found, *_permissions(facts)]


def _server(facts: ServerFacts) -> Iterator[Finding]:
    reached = f"It answers within {facts.answered_ms:.1f} ms."
    yield Finding("reachable", Level.OK, facts.address, reached)
    yield from version(facts.address, facts.version)
    if facts.jetstream_fault:
        advice = "Start nats-server with a jetstream block, and enable JetStream for this account."
        if facts.cluster:
            advice = f"{MAJORITY} If all do: {advice}"
        said = f"JetStream does not answer: {facts.jetstream_fault}."
        yield Finding("jetstream", Level.ERROR, facts.address, said, advice)
    else:
        yield Finding("jetstream", Level.OK, facts.address, "JetStream answers.")
    if facts.max_payload < PAYLOAD_MIN:
        said = f"Messages may have {facts.max_payload:,} bytes."
        advice = "Set max_payload to 8MB on every server; 1MB is the least that is sensible."
        yield Finding("payload", Level.WARNING, facts.address, said, advice)


def _stream(facts: ServerFacts, stream: StreamFacts) -> Iterator[Finding]:
    if stream.is_silent:
        said = "Nobody answers about it: it has no leader, and stands still."
        yield Finding("replication", Level.ERROR, stream.name, said, MAJORITY if facts.cluster else RESTART)
        return
    if stream.present is None and stream.wanted["storage"] == "memory":
        said = "It lives in memory, and is made anew by the next service."
        yield Finding("streams", Level.OK, stream.name, said)
        return
    if stream.present is None:
        said = "It does not exist."
        advice = "Start any service: it makes what is missing. If it was deleted, what was in it is gone."
        yield Finding("streams", Level.ERROR, stream.name, said, advice)
        return
    wrong = [*_differences(stream.wanted, stream.present)]
    yield from wrong or [
        Finding("streams", Level.OK, stream.name, f"{shown_size(stream.size)}, configured as it should be.")
    ]
    yield from _replication(facts, stream, stream.present)


def _differences(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(wanted["name"])
    for key in KEPT:
        if key in wanted and present.get(key) != wanted[key]:
            said = f"{key} is {present.get(key)!r}, not {wanted[key]!r}."
            advice = "It belongs to something else or another version: use another --namespace."
            yield Finding("streams", Level.ERROR, name, said, advice)
    for key in NEEDED:
        if wanted.get(key) and not present.get(key):
            advice = "Start a service of this version, which changes that."
            yield Finding("streams", Level.WARNING, name, f"{key} is off.", advice)
    for key in BOUNDS:
        if key in wanted and present.get(key, 0) <= 0:
            said = f"{key} is not set: it grows without bound."
            advice = f"Give the account room for it, and set it: nats stream edit {name}."
            yield Finding("streams", Level.WARNING, name, said, advice)


def _replication(facts: ServerFacts, stream: StreamFacts, present: Mapping[str, Any]) -> Iterator[Finding]:
    if not facts.cluster:
        return
    replicas = int(present.get("num_replicas", 1))
    if not stream.leader:
        said = "It has no leader, and stands still."
        yield Finding("replication", Level.ERROR, stream.name, said, MAJORITY)
    elif stream.behind:
        said = f"Its replica is away or not up to date on {', '.join(stream.behind)}."
        advice = "See whether these servers run; a replica catches up by itself."
        yield Finding("replication", Level.WARNING, stream.name, said, advice)
    if replicas < REPLICAS_MIN:
        said = f"It has {replicas} of {REPLICAS_MIN} replicas in {facts.cluster!r}: it may stop with one."
        advice = f"nats stream edit {stream.name} --replicas {REPLICAS_MIN}"
        yield Finding("replication", Level.WARNING, stream.name, said, advice)
    elif stream.leader and not stream.behind:
        said = f"All {replicas} replicas are up to date; {stream.leader} leads."
        yield Finding("replication", Level.OK, stream.name, said)


def _permissions(facts: ServerFacts) -> Iterator[Finding]:
    for subject in facts.refused:
        advice = "Give our user what `talka deploy nats-permissions` prints, and reload the server."
        yield Finding("permissions", Level.ERROR, subject, "We may not use it, or get no answer.", advice)
    if not facts.refused:
        yield Finding("permissions", Level.OK, facts.address, "We may read and write what a service does.")
