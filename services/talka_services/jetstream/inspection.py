"""What a server says of itself and of a namespace's streams; nothing is made and nothing is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from talka_core.checkup import NodeFacts, ServerFacts, Skew, StorageFacts, StreamFacts
from talka_protocols.errors import PlatformError
from talka_protocols.permissions import User
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.jetstream.api import (
    EXPECTED_LAST,
    NOT_FOUND,
    PREFIX,
    UNAVAILABLE,
    Failure,
    StreamState,
)
from talka_services.jetstream.connection import Connection, NoAnswerError, NobodyThereError, is_forbidden
from talka_services.jetstream.refusals import without_secrets
from talka_services.jetstream.rights import NEVER, PROBE, missing
from talka_services.jetstream.topology import server_version, streams

ANSWER_S = 3.0
NO_ANSWER = 0
"""The code of what no server has said."""


class _Replica(Struct, frozen=True):
    name: str = ""
    current: bool = False
    offline: bool = False


class _Group(Struct, frozen=True):
    leader: str = ""
    replicas: tuple[_Replica, ...] = ()


class _Limits(Struct, frozen=True):
    max_memory: int = -1
    max_storage: int = -1


class _Info(Struct, frozen=True):
    """The answers about an account and about a stream: the fields that are used, all optional."""

    error: Failure | None = None
    ts: str = ""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    state: StreamState = StreamState()
    cluster: _Group = _Group()
    memory: int = 0
    storage: int = 0
    reserved_memory: int = 0
    reserved_storage: int = 0
    limits: _Limits = _Limits()


async def inspect(
    connection: Connection,
    is_synced: bool | None,
    user: User | None = None,
    nodes: Sequence[NodeFacts] = (),
    disk_free: int | None = None,
) -> ServerFacts:
    """Return what can be found out through a connection; the rest is known from elsewhere, if at all.

    With a ``user``, what its service needs is asked for, and else what all of them write.
    """
    said: dict[str, Any] = vars(connection.nc)["_server_info"]
    facts = ServerFacts(
        _asked(connection),
        server_version(connection.nc),
        str(said.get("cluster", "")),
        connection.wire.max_payload,
        is_synced=is_synced,
        nodes=tuple(nodes),
        disk_free=disk_free,
    )
    started = time.monotonic()
    account = await _ask(connection, "INFO")
    answered_ms = 1000 * (time.monotonic() - started)
    if account.error is not None:
        fault = f"{account.error.description} ({account.error.err_code})".removesuffix(" (0)")
        return msgspec.structs.replace(facts, jetstream_fault=fault, answered_ms=answered_ms)
    found = await asyncio.gather(*(_stream(connection, wanted) for wanted in streams(connection)))
    present = {stream.name for stream, _ in found if stream.present is not None}
    skews: dict[str, Skew] = {}
    for stream, skew in found:
        # Of several servers the leader of a stream answers.
        server = stream.leader if facts.cluster else ""
        best = skews.get(server)
        if skew is not None and (best is None or skew.error_ms < best.error_ms):
            skews[server] = skew
    return msgspec.structs.replace(
        facts,
        answered_ms=answered_ms,
        file=StorageFacts(account.storage, account.reserved_storage, account.limits.max_storage),
        memory=StorageFacts(account.memory, account.reserved_memory, account.limits.max_memory),
        skews=dict(sorted(skews.items())),
        streams=tuple(stream for stream, _ in found),
        refused=await (missing(connection, user) if user else _refused(connection, present)),
    )


def _asked(connection: Connection) -> str:
    """Return which of the servers that we were told of answers, fit for messages."""
    url = connection.nc.connected_url
    if len(connection.servers) < 2 or url is None:
        return connection.address
    return without_secrets(url.geturl())


async def _ask(connection: Connection, what: str) -> _Info:
    try:
        message = await connection.request(f"{PREFIX}.{what}", wait_s=ANSWER_S)
    except (NoAnswerError, NobodyThereError) as error:
        return _Info(Failure(NO_ANSWER, description=str(error)))
    return msgspec.json.decode(message.data, type=_Info)


async def _stream(connection: Connection, wanted: dict[str, Any]) -> tuple[StreamFacts, Skew | None]:
    """Return a stream, and how far the clock of the server that answered is ahead of ours."""
    started, now_ms = time.monotonic(), time.time() * 1000
    info = await _ask(connection, f"STREAM.INFO.{wanted['name']}")
    took_ms = 1000 * (time.monotonic() - started)
    if info.error is not None:
        if info.error.code in {NO_ANSWER, UNAVAILABLE}:
            return StreamFacts(wanted, is_silent=True), None
        if info.error.code != NOT_FOUND:
            raise PlatformError(
                f"The server does not tell about the stream {wanted['name']}: {info.error.description}.",
                hint="Let the account ask $JS.API.STREAM.INFO.>.",
            )
        return StreamFacts(wanted), None
    behind = tuple(each.name for each in info.cluster.replicas if each.offline or not each.current)
    stream = StreamFacts(wanted, info.config, info.state.bytes, info.cluster.leader, behind)
    if not info.ts:
        return stream, None
    return stream, Skew(_unix_ms(info.ts) - (now_ms + took_ms / 2), took_ms / 2)


def _unix_ms(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() * 1000


async def _refused(connection: Connection, present: Collection[str]) -> tuple[str, ...]:
    """Return the subjects of streams that are present which we may not write to: nobody answers there."""
    names = connection.names
    probes = {
        names.stream("log"): names.log(LogName(EXECUTION, "0", PROBE)),
        names.stream("snapshot"): names.snapshot(LogName(EXECUTION, "0", PROBE)),
        names.stream("inbox"): names.inbox(PROBE, PROBE),
        names.stream("request"): names.requests(PROBE, PROBE),
        names.stream("events"): names.event(PROBE),
        names.stream("dead"): names.dead_letter(PROBE, PROBE),
        names.stream("tasklog"): names.tasklog(PROBE),
        f"KV_{names.bucket('leases')}": f"$KV.{names.bucket('leases')}.lease.{PROBE}",
        f"OBJ_{names.bucket('objects')}": f"$O.{names.bucket('objects')}.M.{PROBE}",
    }
    subjects = [subject for stream, subject in probes.items() if stream in present]
    answers = await asyncio.gather(*(_may_write(connection, subject) for subject in subjects))
    return tuple(subject for subject, is_allowed in zip(subjects, answers, strict=True) if not is_allowed)


async def _may_write(connection: Connection, subject: str) -> bool:
    try:
        return not is_forbidden(await connection.request(subject, b"", {EXPECTED_LAST: NEVER}, ANSWER_S))
    except (NoAnswerError, NobodyThereError):
        return False
