"""The log of alerts loses its beginning, and no alert: neither one that is open nor one that lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

import pytest
import pytest_asyncio
from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS
from tests.integration.test_pruning import LateClock

from talka_core.alerting import AlertBook, acknowledge, decide
from talka_core.history import FOLDS, packed
from talka_protocols.alerts import AlertKind, Condition
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import AlertEvent
from talka_protocols.subjects import ALERT, ALERTS, Names
from talka_services.alerting import AlertLog
from talka_services.archives import pruner
from talka_services.archives.pruner import Pruner
from talka_services.client.audits import audit
from talka_services.client.signatures import audit_signatures
from talka_services.jetstream.purging import Purge
from talka_services.service import Node

FIRES = Condition(AlertKind.STUCK, "execution/x", "It is stuck.")
LEAK = Condition(AlertKind.LEAK, "log/pool.p/7", "Twice.")
LAG = Condition(AlertKind.LAG, "inbox/scheduler.0", "Behind.")
TIMES = 4


def alerts_of(node: Node) -> AlertLog:
    """Return a reader and writer that knows nothing yet."""
    return AlertLog(node.ports.log, node.ports.snapshots)


async def look(alerts: AlertLog, *conditions: Condition) -> int:
    """Record what has changed, as the watcher does."""

    def deciding(book: AlertBook) -> Iterable[AlertEvent]:
        return decide(book, conditions, is_told=False)

    return await alerts.append(deciding, "watch")


async def prune(node: Node, before: int = LATER_MS) -> int:
    """Prune on a day when all is old, and return how many events have left the log of alerts."""
    ports = replace(node.ports, clock=LateClock())
    found = await Pruner(node.connection, ports).run(lambda _name: False, before)
    return sum(each.events for each in found if each.log == str(ALERTS))


@pytest_asyncio.fixture
async def node(
    nats_server: NatsServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Node]:
    """A namespace with one alert that fires, one that lasts and was seen, and many that are over."""
    monkeypatch.setattr(pruner, "SMALL", TIMES)
    async with await Node.open(nats_server.url, namespace=names.namespace, shards=1) as opened:
        alerts = alerts_of(opened)
        await look(alerts, FIRES, LEAK)
        await alerts.append(lambda book: acknowledge(book, 2, "Ada"), "client")
        for _ in range(TIMES):
            await look(alerts, FIRES, LAG)
            await look(alerts, FIRES)
        yield opened


async def test_what_fires_is_neither_lost_nor_raised_anew(node: Node) -> None:
    """Whoever reads the rest of the log knows what all of it said, and goes on from there."""
    before = packed(FOLDS[ALERT], await alerts_of(node).refresh())
    assert await prune(node) == 2 + 1 + 2 * TIMES - 1
    assert len(await node.ports.log.read(ALERTS)) == 1
    alerts = alerts_of(node)
    assert packed(FOLDS[ALERT], await alerts.refresh()) == before
    assert alerts.book.alerts[1].is_open
    assert await look(alerts, FIRES, LEAK) == 0
    assert await look(alerts) == 1
    assert not (await alerts_of(node).refresh()).alerts[1].is_open
    assert not (await audit(node.ports.log, snapshots=node.ports.snapshots)).count
    namespace = node.connection.names.namespace
    found, _signatures = await audit_signatures(node.ports.log, namespace, snapshots=node.ports.snapshots)  # type: ignore[arg-type]
    assert not found


async def test_a_reader_that_was_away_goes_on_behind_what_was_pruned(node: Node) -> None:
    """A watcher and a follower that have seen only a part take the rest from the base."""
    away = alerts_of(node)
    await away.refresh()
    for _ in range(TIMES):
        await look(alerts_of(node), FIRES, LAG)
        await look(alerts_of(node), FIRES)
    assert await prune(node)
    assert await look(away, FIRES, LAG) == 1
    whole = await alerts_of(node).refresh()
    assert packed(FOLDS[ALERT], away.book) == packed(FOLDS[ALERT], whole)
    async with asyncio.timeout(20), aclosing(alerts_of(node).changes(whole.version - 1)) as changes:
        version, kind, alert = await anext(changes)
    assert (version, kind, alert.subject) == (whole.version, "AlertRaised", LAG.subject)


async def test_what_is_younger_than_the_retention_stays(node: Node) -> None:
    """And so does a log of few commits."""
    assert not await prune(node, before=1)
    assert len(await node.ports.log.read(ALERTS)) == 2 + 2 * TIMES


async def test_missing_commits_that_nobody_pruned_are_told(node: Node) -> None:
    """Without a base nothing says what they were, and nobody makes as if they had not been."""
    last = (await node.ports.log.read(ALERTS))[-1].position
    await Purge(node.connection).log_before(ALERTS, last)
    with pytest.raises(BrokenHistoryError, match="missing"):
        await alerts_of(node).refresh()
