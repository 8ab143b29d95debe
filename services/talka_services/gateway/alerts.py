"""Alerts: what somebody should look at."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from talka_core.alerting import AlertBook, acknowledge, document_of
from talka_protocols.alerts import AlertDocument
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import AlertEvent
from talka_services.alerting import AlertLog
from talka_services.client.asking import asker
from talka_services.gateway.calls import Call
from talka_services.gateway.operations import EVENT_STREAM, Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.problems import VERSION_MAX
from talka_services.gateway.streams import last_id, live_response, message


class WhichAlerts(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which alerts."""

    all: Annotated[bool, Meta(description="Also those that are over, of which 1,000 are kept.")] = False


class AlertList(Struct, frozen=True):
    """Alerts, the newest first; a stream of them goes on at ``version``, the next page at ``next``.

    ``webhooks_owed`` are on their way or will be tried again, ``webhooks_given_up`` will not.
    """

    alerts: list[AlertDocument]
    version: int
    webhooks_owed: int
    webhooks_given_up: int
    next: str | None


async def list_alerts(call: Call, query: WhichAlerts) -> AlertList:
    """List the alerts that are open: what is stuck, late, leaking, failing or behind."""
    book = await _alerts(call).refresh()
    found = [document_of(each) for each in reversed(book.alerts.values()) if query.all or each.is_open]
    chosen, following = paged(found, lambda each: -each.number, query, int)
    return AlertList(chosen, book.version, len(book.owed), book.given_up, following)


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """Who has seen it."""

    by: Annotated[str, Meta(max_length=200)] = ""


async def acknowledge_alert(call: Call, number: str, body: Seen) -> AlertDocument:
    """Say that somebody has seen an alert. Violations are over with that, others when they are so no more."""
    wanted = int(number) if number.isdecimal() and len(number) < 18 else 0
    if not wanted:
        raise RequestRefusedError(f"There is no alert {number!r}.", code="unknown_alert")
    alerts = _alerts(call)
    await alerts.refresh()

    def deciding(book: AlertBook) -> Iterable[AlertEvent]:
        return acknowledge(book, wanted, body.by)

    await alerts.append(deciding, "client", asked_by=asker())
    return document_of(alerts.book.alerts[wanted])


class AfterVersion(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin."""

    after: Annotated[
        int,
        Meta(
            ge=0,
            le=VERSION_MAX,
            description="`version` of a list; everything if left out. Last-Event-ID goes before it.",
        ),
    ] = 0


async def stream_alerts(call: Call, query: AfterVersion) -> Annotated[Response, AlertDocument]:
    """Follow the alerts: `AlertRaised`, `AlertCleared` and `AlertAcknowledged`, each with the alert."""
    return live_response(call, _changes(call, last_id(call, query.after)))


async def _changes(call: Call, after: int) -> AsyncGenerator[bytes]:
    async with aclosing(_alerts(call).changes(after)) as changes:
        async for version, kind, alert in changes:
            yield message(kind, document_of(alert), version)


def _alerts(call: Call) -> AlertLog:
    return AlertLog(call.orchestrator.node.ports.log, call.orchestrator.node.ports.snapshots)


OPERATIONS = (
    Operation("GET", "/alerts", list_alerts, "alerts"),
    Operation("POST", "/alerts/{number}/acknowledge", acknowledge_alert, "alerts", is_keyed=True),
    Operation("GET", "/alerts/stream", stream_alerts, "alerts", answers=EVENT_STREAM),
)
