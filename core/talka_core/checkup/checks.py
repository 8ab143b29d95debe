"""The checks: each looks at the facts and yields what it finds, also that all is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from talka_core.checkup.facts import Finding, Level, ServerFacts, StorageFacts, StreamFacts

OLDEST_SERVER = (2, 12)
PAYLOAD_MIN = 1_000_000
"""Bytes. Commits are split by the server's limit; below this one large decisions take many messages."""
SKEW_WARNING_MS = 1_000.0
SKEW_ERROR_MS = 30_000.0
FULL_WARNING = 0.8
FULL_ERROR = 0.95
KEPT = ("storage", "subjects", "max_msgs_per_subject")
"""What makes a stream another one if it differs."""
NEEDED = ("allow_msg_schedules", "allow_rollup_hdrs", "allow_msg_ttl", "deny_delete")
BOUNDS = ("max_age", "max_bytes")
REPLICAS_MIN = 3


def checkup(facts: ServerFacts) -> list[Finding]:
    """Return what every check finds, in the order in which one would mend it."""
    found = [*_server(facts)]
    if facts.jetstream_fault:
        return found
    found += [
        *_clock(facts),
        *_syncing(facts),
        *_storage("file", facts.file),
        *_storage("memory", facts.memory),
    ]
    if all(stream.present is None for stream in facts.streams):
        advice = "Start `talka service planner` or `talka up`; whoever comes first makes the streams."
        return [
            *found,
            Finding("streams", Level.WARNING, facts.address, "No platform has begun here.", advice),
        ]
    for stream in facts.streams:
        found += _stream(facts, stream)
    return [*found, *_permissions(facts)]


def _server(facts: ServerFacts) -> Iterator[Finding]:
    shown = ".".join(map(str, facts.version))
    reached = f"It answers within {facts.answered_ms:.1f} ms."
    yield Finding("reachable", Level.OK, facts.address, reached)
    if facts.version < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        said = f"It is version {shown}; Talka needs {oldest} or later."
        yield Finding("version", Level.ERROR, facts.address, said, "Upgrade nats-server.")
    else:
        yield Finding("version", Level.OK, facts.address, f"It is version {shown}.")
    if facts.jetstream_fault:
        advice = "Start nats-server with a jetstream block, and enable JetStream for this account."
        said = f"JetStream does not answer: {facts.jetstream_fault}."
        yield Finding("jetstream", Level.ERROR, facts.address, said, advice)
    else:
        yield Finding("jetstream", Level.OK, facts.address, "JetStream answers.")
    if facts.max_payload < PAYLOAD_MIN:
        said = f"Messages may have {facts.max_payload:,} bytes."
        advice = "Set max_payload to 8MB on every server; 1MB is the least that is sensible."
        yield Finding("payload", Level.WARNING, facts.address, said, advice)


def _clock(facts: ServerFacts) -> Iterator[Finding]:
    if facts.skew is None:
        return
    ahead = abs(facts.skew.ms) - facts.skew.error_ms
    side = "ahead of" if facts.skew.ms > 0 else "behind"
    exactness = f"give or take {facts.skew.error_ms:,.0f} ms"
    said = f"Its clock is {abs(facts.skew.ms):,.0f} ms {side} this machine's, {exactness}."
    advice = "Let both machines follow a time server (NTP); times in the log are off by as much."
    if ahead <= SKEW_WARNING_MS:
        yield Finding("clock", Level.OK, facts.address, said)
    else:
        level = Level.ERROR if ahead > SKEW_ERROR_MS else Level.WARNING
        yield Finding("clock", level, facts.address, said, advice)


def _syncing(facts: ServerFacts) -> Iterator[Finding]:
    match facts.is_synced:
        case True:
            yield Finding("sync", Level.OK, facts.address, "It syncs each commit before it acknowledges it.")
        case False:
            said = "It acknowledges before it syncs: a loss of power takes back what was acknowledged."
            advice = "Set sync_interval: always in the jetstream block, on every server of a cluster."
            yield Finding("sync", Level.WARNING, facts.address, said, advice)
        case None:
            said = "Whether it syncs before it acknowledges cannot be seen from here."
            advice = "Look for sync_interval: always in its configuration, or name its http port: --monitor."
            yield Finding("sync", Level.UNKNOWN, facts.address, said, advice)


def _storage(kind: str, storage: StorageFacts) -> Iterator[Finding]:
    taken = max(storage.used, storage.reserved)
    if storage.limit <= 0:
        yield Finding(
            "storage", Level.OK, kind, f"{_size(storage.used)} used; the account has no limit of its own."
        )
        return
    share = taken / storage.limit
    said = f"{_size(storage.used)} used and {_size(storage.reserved)} reserved of {_size(storage.limit)}."
    advice = f"Raise max_{kind}_store, give the store a larger disk, or remove what is not needed."
    level = Level.ERROR if share > FULL_ERROR else Level.WARNING if share > FULL_WARNING else Level.OK
    yield Finding("storage", level, kind, said, "" if level is Level.OK else advice)


def _stream(facts: ServerFacts, stream: StreamFacts) -> Iterator[Finding]:
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
        Finding("streams", Level.OK, stream.name, f"{_size(stream.size)}, configured as it should be.")
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
        advice = "More than half of its servers must run and reach each other: start those that do not."
        yield Finding("replication", Level.ERROR, stream.name, "It has no leader, and stands still.", advice)
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


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
