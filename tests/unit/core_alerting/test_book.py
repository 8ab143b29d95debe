"""The book of alerts: one event for each alert, whoever decides and however often."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talka_core.alerting import (
    GIVEN_UP,
    AlertBook,
    acknowledge,
    decide,
    evolve,
    failed,
    notice_id,
    retry_ms,
    signature,
    written,
)
from talka_core.cloudevents import read_event
from talka_protocols.alerts import AlertKind, Condition
from talka_protocols.commit import Commit, Decision, decode_commit, encode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import AlertCleared, AlertRaised, WebhookDelivered
from talka_protocols.subjects import ALERTS

STUCK = Condition(AlertKind.STUCK, "execution/x", "It is stuck.", "Look.", "x")
LEAK = Condition(AlertKind.LEAK, "log/pool.p/7/double_grant", "Twice.", "Report it.")
LAG = Condition(AlertKind.LAG, "inbox/scheduler.0", "Behind.")
AT = 1_700_000_000_123


def _step(book: AlertBook, *conditions: Condition, is_told: bool = False) -> list[Any]:
    events = list(decide(book, conditions, is_told=is_told))
    for event in events:
        evolve(book, event, AT)
    return events


def test_an_alert_is_raised_once_cleared_once_and_raised_anew() -> None:
    book = AlertBook()
    assert _step(book, STUCK) == [AlertRaised(STUCK)]
    assert _step(book, STUCK) == []
    assert _step(book) == [AlertCleared(1)]
    assert _step(book) == []
    assert _step(book, STUCK) == [AlertRaised(STUCK)]
    assert [(each.number, each.is_open) for each in book.alerts.values()] == [(1, False), (3, True)]


def test_a_violation_stays_until_it_is_acknowledged_and_is_never_raised_again() -> None:
    book = AlertBook()
    _step(book, LEAK)
    assert _step(book) == []
    assert book.alerts[1].is_open
    (seen,) = acknowledge(book, 1, "Ada")
    evolve(book, seen, AT)
    assert list(acknowledge(book, 1, "Bo")) == []
    assert (book.alerts[1].is_open, book.alerts[1].acknowledged_by) == (False, "Ada")
    assert _step(book, LEAK) == []
    with pytest.raises(RequestRefusedError, match="no alert 9"):
        list(acknowledge(book, 9))


@given(st.lists(st.sets(st.sampled_from([STUCK, LEAK, LAG])), max_size=20), st.integers(0, 20))
def test_whoever_takes_over_decides_the_same(course: list[set[Condition]], crash: int) -> None:
    """A book that is folded anew from the log at any point goes on as the first would have."""
    book, history = AlertBook(), list[Any]()
    for step, wrong in enumerate(course):
        if step == crash:
            book = AlertBook()
            for event in history:
                evolve(book, event, AT)
        history += _step(book, *sorted(wrong, key=lambda each: each.subject))
        assert {key.partition("/")[2] for key in book.present} >= {each.subject for each in wrong}
    raised = [each for each in history if isinstance(each, AlertRaised)]
    cleared = [each for each in history if isinstance(each, AlertCleared)]
    assert len(raised) - len(cleared) == len(book.present)
    body = encode_commit(Commit(1, AT, 0, (Decision("t", tuple(history)),)))
    assert [event for _, _, event in decode_commit(ALERTS, body).events()] == history


def test_a_webhook_is_owed_until_it_is_delivered_or_given_up() -> None:
    book = AlertBook()
    _step(book, STUCK, LAG, is_told=True)
    for attempt in range(1, GIVEN_UP + 1):
        assert book.owed[1].failures == attempt - 1
        evolve(book, failed(book, 1, "the receiver answered 500"), AT)
    assert (set(book.owed), book.given_up) == ({2}, 1)
    evolve(book, WebhookDelivered(2), AT)
    evolve(book, WebhookDelivered(2), AT)
    assert book.owed == {}
    assert [retry_ms(n) for n in (0, 1, 2, 3, 99)] == [0, 1_000, 2_000, 4_000, 300_000]


def test_a_notice_is_a_cloudevent_that_is_the_same_each_time_and_signed() -> None:
    book = AlertBook()
    _step(book, STUCK, is_told=True)
    notice = book.owed[1]
    body = written(book, notice, "garden")
    event = read_event("talka.alert.raised", body, {"content-type": "application/cloudevents+json"})
    assert (event.id, event.source, event.subject) == (notice_id(notice), "/talka/garden", "execution/x")
    assert event.time == "2023-11-14T22:13:20.123000Z"
    assert msgspec.json.decode(event.data)["status"] == "open"
    key = base64.b64encode(b"secret").decode()
    expected = base64.b64encode(hmac.digest(b"secret", b"n.7." + body, hashlib.sha256)).decode()
    assert signature("secret", "n", 7, body) == signature(f"whsec_{key}", "n", 7, body) == f"v1,{expected}"
