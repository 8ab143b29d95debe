"""The book of alerts: what was raised and is not over, folded from the log of alerts.

Whatever is decided follows from the book and from what is wrong now, so that
whoever takes over after a crash raises nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, assert_never

from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from talka_protocols.alerts import LASTING, Alert, AlertKind, Condition
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import (
    AlertAcknowledged,
    AlertCleared,
    AlertEvent,
    AlertRaised,
    WebhookDelivered,
    WebhookFailed,
)

GIVEN_UP = 12
"""How often a webhook is tried: for about a quarter of an hour."""
RETRY_MS = 1_000
RETRY_MS_MAX = 300_000
OVER_MAX = 1_000
"""How many alerts that are over are remembered."""


class Notice(Struct):
    """A webhook that is owed for event ``about`` of the log; ``failures`` count its tries."""

    about: int
    number: int
    at: int
    is_raised: bool
    failures: int = 0


class AlertBook(Struct):
    """What the log of alerts says.

    ``present`` are the numbers of alerts that are not cleared, by ``KIND/SUBJECT``, also of
    those that are not remembered any more: what lasts is raised only once.
    """

    version: int = 0
    alerts: dict[int, Alert] = field(default_factory=dict[int, Alert])
    present: dict[str, int] = field(default_factory=dict[str, int])
    owed: dict[int, Notice] = field(default_factory=dict[int, Notice])
    given_up: int = 0


def decide(book: AlertBook, conditions: Iterable[Condition], *, is_told: bool) -> Iterator[AlertEvent]:
    """Yield what was not wrong before and is now, and what is no more.

    Args:
        book: What was raised.
        conditions: All that is wrong now.
        is_told: Whether a webhook is to tell of it.
    """
    wrong = {_key(each): each for each in conditions}
    for key, condition in wrong.items():
        if key not in book.present:
            yield AlertRaised(condition, is_told)
    for key, number in book.present.items():
        if key not in wrong and AlertKind(key.partition("/")[0]) not in LASTING:
            yield AlertCleared(number, is_told)


def acknowledge(book: AlertBook, number: int, by: str = "") -> Iterator[AlertEvent]:
    """Yield that somebody has seen an alert; nothing if that is known.

    Raises:
        RequestRefusedError: there is no such alert.
    """
    alert = book.alerts.get(number)
    if alert is None:
        raise RequestRefusedError(
            f"There is no alert {number}.", code="unknown_alert", hint="talka alerts --all lists them."
        )
    if not alert.acknowledged_at:
        yield AlertAcknowledged(number, by)


def failed(book: AlertBook, about: int, reason: str) -> WebhookFailed:
    """Return that a webhook was not taken, and whether it is given up."""
    attempt = book.owed[about].failures + 1
    return WebhookFailed(about, attempt, reason, attempt >= GIVEN_UP)


def retry_ms(failures: int) -> int:
    """Return how long to wait after so many failures."""
    return min(RETRY_MS_MAX, RETRY_MS * 2 ** (failures - 1)) if failures else 0


def evolve(book: AlertBook, event: AlertEvent, at: int) -> None:
    """Remember one fact."""
    book.version += 1
    match event:
        case AlertRaised():
            _raised(book, event, at)
        case AlertCleared():
            _cleared(book, event, at)
        case AlertAcknowledged():
            alert = book.alerts.get(event.number)
            if alert is not None:
                seen = replace(alert, acknowledged_at=at, acknowledged_by=event.by)
                book.alerts[event.number] = seen
        case WebhookDelivered():
            book.owed.pop(event.about, None)
        case WebhookFailed():
            if event.is_final:
                book.given_up += book.owed.pop(event.about, None) is not None
            elif event.about in book.owed:
                book.owed[event.about].failures = event.attempt
        case _:
            assert_never(event)


def pack(book: AlertBook) -> Any:
    """Return a book as a snapshot can hold it, whose keys are texts."""
    return to_builtins(book, str_keys=True)


def restore(book: AlertBook) -> None:
    """Put a book that was read from a snapshot in order: snapshots sort their keys as texts."""
    book.alerts = dict(sorted(book.alerts.items()))
    book.owed = dict(sorted(book.owed.items()))
    book.present = dict(sorted(book.present.items(), key=lambda item: item[1]))


def _key(what: Condition | Alert) -> str:
    return f"{what.kind}/{what.subject}"


def _raised(book: AlertBook, event: AlertRaised, at: int) -> None:
    what, number = event.condition, book.version
    book.alerts[number] = Alert(
        number=number,
        kind=what.kind,
        subject=what.subject,
        message=what.message,
        hint=what.hint,
        execution_id=what.execution_id,
        raised_at=at,
    )
    book.present[_key(what)] = number
    if event.is_told:
        book.owed[number] = Notice(number, number, at, is_raised=True)
    if len(book.alerts) > 2 * OVER_MAX:
        over = [each.number for each in book.alerts.values() if not each.is_open]
        for each in over[:-OVER_MAX]:
            if each not in {notice.number for notice in book.owed.values()}:
                del book.alerts[each]


def _cleared(book: AlertBook, event: AlertCleared, at: int) -> None:
    alert = book.alerts[event.number]
    book.alerts[event.number] = replace(alert, cleared_at=at)
    del book.present[_key(alert)]
    if event.is_told:
        book.owed[book.version] = Notice(book.version, event.number, at, is_raised=False)
