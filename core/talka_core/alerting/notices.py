"""What a webhook says: a CloudEvent, the same each time it is sent, and its signature.

The signature is that of Standard Webhooks: an HMAC of id, time and body.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Raw

from talka_core.alertbook import AlertBook, Notice
from talka_core.cloudevents import write_event
from talka_protocols.alerts import Alert, AlertDocument
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.commit import event_id
from talka_protocols.subjects import ALERTS

SECRET_PREFIX = "whsec_"  # noqa: S105  (what a secret begins with)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def document_of(alert: Alert) -> AlertDocument:
    """Return an alert as people and receivers get it."""
    status = "acknowledged" if alert.acknowledged_at else "open"
    return AlertDocument(
        alert.number,
        alert.kind,
        "cleared" if alert.cleared_at else status,
        alert.subject,
        alert.message,
        alert.hint,
        alert.execution_id or None,
        alert.raised_at / 1000,
        alert.cleared_at / 1000 or None,
        alert.acknowledged_at / 1000 or None,
        alert.acknowledged_by or None,
    )


def notice_id(notice: Notice) -> str:
    """Name a notice; whoever gets it twice knows it again by that."""
    return event_id(ALERTS, notice.about)


def written(book: AlertBook, notice: Notice, namespace: str) -> bytes:
    """Return a notice as a CloudEvent in structured mode, with the alert as its data."""
    alert = book.alerts[notice.number]
    event = CloudEvent(
        notice_id(notice),
        f"/talka/{namespace}",
        "talka.alert.raised" if notice.is_raised else "talka.alert.cleared",
        alert.subject,
        (_EPOCH + timedelta(milliseconds=notice.at)).isoformat().replace("+00:00", "Z"),
        "application/json",
        data=Raw(msgspec.json.encode(document_of(alert))),
    )
    return write_event(event)


def signature(secret: str, notice: str, sent_s: int, body: bytes) -> str:
    """Return the header ``webhook-signature``; a secret that begins with ``whsec_`` is base64 behind it."""
    signed = f"{notice}.{sent_s}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            pass  # It only looks like one.
    return secret.encode()
