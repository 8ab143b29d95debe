"""What a NATS server tells of itself at its monitoring port: its health, its disk, and how it syncs."""

from __future__ import annotations

import time
from datetime import datetime

import httpx
import msgspec
from msgspec import Struct

from talka_core.checkup import NodeFacts, Skew, StorageFacts
from talka_protocols.errors import PlatformError

ANSWER_S = 3.0


class _Config(Struct, frozen=True):
    sync_always: bool = False
    max_memory: int = -1
    max_storage: int = -1


class _Stats(Struct, frozen=True):
    memory: int = 0
    storage: int = 0
    reserved_memory: int = 0
    reserved_storage: int = 0


class _JetStream(Struct, frozen=True):
    config: _Config = _Config()
    stats: _Stats = _Stats()


class _Varz(Struct, frozen=True):
    version: str
    now: str
    server_id: str = ""
    server_name: str = ""
    jetstream: _JetStream = _JetStream()


class _Health(Struct, frozen=True):
    error: str = ""


async def node_at(monitor: str) -> NodeFacts:
    """Return what the server with this monitoring port tells of itself.

    Raises:
        PlatformError: nobody answers there, or not as a NATS server.
    """
    address = monitor.rstrip("/")
    try:
        async with httpx.AsyncClient(timeout=ANSWER_S) as client:
            # The first answer has the connection made; only the second says how long one takes.
            health = msgspec.json.decode((await client.get(f"{address}/healthz")).content, type=_Health)
            asked_ms, started = time.time() * 1000, time.monotonic()
            answer = (await client.get(f"{address}/varz")).raise_for_status()
            half_ms = 500 * (time.monotonic() - started)
        told = msgspec.json.decode(answer.content, type=_Varz)
        skew = Skew(datetime.fromisoformat(told.now).timestamp() * 1000 - asked_ms - half_ms, half_ms)
        major, minor = (int(part) for part in told.version.split(".")[:2])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise PlatformError(
            f"No NATS server tells about itself at {monitor}: {error or type(error).__name__}.",
            hint="Give the address of its http port (http://nats.example:8222), or leave --monitor out.",
        ) from error
    config, stats = told.jetstream.config, told.jetstream.stats
    return NodeFacts(
        # One that was given no name has its id for one, which says nothing to anybody.
        address if told.server_name == told.server_id else told.server_name,
        (major, minor),
        config.sync_always,
        skew,
        health.error,
        StorageFacts(stats.storage, stats.reserved_storage, config.max_storage),
        StorageFacts(stats.memory, stats.reserved_memory, config.max_memory),
    )
