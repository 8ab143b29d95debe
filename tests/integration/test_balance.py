"""Shards go to a service that joins, and come back when it goes."""

from __future__ import annotations

import asyncio

import pytest
from tests.conftest import NatsServer

from talka_protocols.messages import Recipient
from talka_protocols.subjects import Names
from talka_services.service import Node
from talka_services.service.owner import Owner

SHARDS = 4


def owner_of(node: Node, holder: str) -> Owner:
    """Return a scheduler service that competes for every shard."""
    ids = [str(shard) for shard in range(SHARDS)]
    return Owner(Recipient.SCHEDULER, ids, node.ports, node.connection, holder)


async def until(*shares: tuple[Owner, int]) -> None:
    """Return when each service owns as many shards as said."""
    async with asyncio.timeout(20):
        while any(len(owner.owned) != count for owner, count in shares):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_shards_are_divided_anew(
    nats_server: NatsServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One service owns all, two own half each, and the one that is left owns all again."""
    for name, seconds in (("BEAT_S", 0.05), ("STEADY_S", 0.2), ("SILENT_S", 1.0)):
        monkeypatch.setattr(f"talka_services.service.balance.{name}", seconds)
    async with await Node.open(nats_server.url, namespace=names.namespace, shards=SHARDS) as node:
        first, second = owner_of(node, "first"), owner_of(node, "second")
        first.start()
        await until((first, SHARDS))
        second.start()
        await until((first, 2), (second, 2))
        assert sorted(first.owned + second.owned) == ["0", "1", "2", "3"]
        await second.stop()
        await until((first, SHARDS))
        await first.stop()
