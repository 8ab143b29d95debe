"""Webhooks: tells a receiver of every alert that is raised or cleared, in order, at least once.

What is owed is in the book, so it survives every crash; a notice has the same
id each time it is sent, by which the receiver knows it again.
"""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version

import httpx

from talka_core.alerting import failed, notice_id, retry_ms, signature, written
from talka_protocols.errors import PlatformError
from talka_protocols.events import WebhookDelivered
from talka_services.alerting.alertlog import AlertLog
from talka_services.alerting.receiver import Receiver
from talka_services.telemetry import get_logger

TIMEOUT_S = 10.0
AGAIN_S = 1.0

log = get_logger(__name__)


class Webhooks:
    """Sends what is owed, one notice after the other; `wake` says that there may be something new."""

    def __init__(self, alerts: AlertLog, receiver: Receiver, namespace: str) -> None:
        self._alerts = alerts
        self._receiver = receiver
        self._namespace = namespace
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look again what is owed."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever; what fails is recorded, and tried again later."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            while True:
                self._wake.clear()
                try:
                    while self._alerts.book.owed:
                        await self._send_first(client)
                except PlatformError as error:
                    log.warning("webhook.not_recorded", error=str(error))
                    await asyncio.sleep(AGAIN_S)
                    continue
                await self._wake.wait()

    async def _send_first(self, client: httpx.AsyncClient) -> None:
        book = self._alerts.book
        notice = next(iter(book.owed.values()))
        await asyncio.sleep(retry_ms(notice.failures) / 1000)
        body, name, sent_s = written(book, notice, self._namespace), notice_id(notice), int(time.time())
        headers = {
            "content-type": "application/cloudevents+json",
            "user-agent": f"talka/{version('talka')}",
            "webhook-id": name,
            "webhook-timestamp": str(sent_s),
        }
        if self._receiver.secret:
            headers["webhook-signature"] = signature(self._receiver.secret, name, sent_s, body)
        problem = await self._post(client, body, headers)
        about = notice.about
        if not problem:
            await self._alerts.append(
                lambda book: [WebhookDelivered(about)] if about in book.owed else [], "webhook"
            )
            return
        log.warning("webhook.failed", notice=name, attempt=notice.failures + 1, error=problem)
        await self._alerts.append(
            lambda book: [failed(book, about, problem)] if about in book.owed else [], "webhook"
        )

    async def _post(self, client: httpx.AsyncClient, body: bytes, headers: dict[str, str]) -> str:
        """Return what went wrong, empty if nothing did; without the address, which may hold a secret."""
        try:
            response = await client.post(self._receiver.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: the receiver cannot be reached"
        return "" if response.is_success else f"the receiver answered {response.status_code}"
