"""Sends what ``/metrics`` answers to a collector, every so often and once more at the end.

Totals are sent whole each time, so nothing is kept for a collector that is away:
as soon as it is back it has them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from prometheus_client.metrics_core import Metric as Family

from talka_protocols.errors import PlatformError
from talka_services.gateway.metrics import Metrics
from talka_services.telemetry import get_logger

INTERVAL_S = 15.0
END_S = 5.0
"""How long the end waits for what is sent last."""

log = get_logger(__name__)


class MetricTaker(Protocol):
    """Takes metrics, as `talka_services.otlp.metrics.MetricCollector` does."""

    url: str

    def send(self, families: Sequence[Family], instance: str) -> None:
        """Send what a scrape of an instance would answer now; blocks the calling thread.

        Raises:
            PlatformError: it was not taken.
        """
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class MetricSender:
    """Sends from when it is made until it is closed; ``instance`` tells gateways apart."""

    def __init__(self, metrics: Metrics, taker: MetricTaker, instance: str, interval_s: float) -> None:
        self._metrics = metrics
        self._taker = taker
        self._instance = instance
        self._interval_s = interval_s
        self._is_taken = True
        self._closing = asyncio.Event()
        self._running = asyncio.create_task(self._run(), name="metrics by OTLP")

    async def close(self) -> None:
        """Send once more, unless that takes too long, and give the connection back."""
        self._closing.set()
        await asyncio.wait([self._running], timeout=END_S)
        self._running.cancel()
        await asyncio.wait([self._running])
        self._taker.close()

    async def _run(self) -> None:
        is_last = False
        while True:
            await self._send()
            if is_last:
                return
            is_last = await self._is_closing()

    async def _is_closing(self) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), self._interval_s)
        except TimeoutError:
            return False
        return True

    async def _send(self) -> None:
        try:
            families = await self._metrics.families()
            await asyncio.to_thread(self._taker.send, families, self._instance)
        except PlatformError as error:
            if self._is_taken:
                log.warning("metrics.not_sent", error=str(error), again_s=self._interval_s)
            self._is_taken = False
        except Exception:
            # A sender that had ended would leave out everything from then on.
            log.exception("metrics.sending_crashed")
        else:
            if not self._is_taken:
                log.info("metrics.sent_again", url=self._taker.url)
            self._is_taken = True
