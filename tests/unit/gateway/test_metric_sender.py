"""The sender of metrics goes on whatever goes wrong, says so once, and ends in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric as Family

from talka_protocols.errors import PlatformError, ServerUnavailableError
from talka_services.gateway import metric_sender
from talka_services.gateway.metric_sender import MetricSender

NEVER_S = 3_600.0


class Metrics:
    """Tells which look this is, and fails when the test says so."""

    def __init__(self, *failures: Exception) -> None:
        self.looks = 0
        self._failures = list(failures)

    async def families(self) -> list[Any]:
        """Return the number of the look, or fail."""
        self.looks += 1
        if self._failures:
            raise self._failures.pop(0)
        return [self.looks]


class Taker:
    """Takes what it is sent, once it has failed as often as the test says."""

    url = "http://test/v1/metrics"

    def __init__(self, failures: int = 0, hold: Callable[[], object] = lambda: None) -> None:
        self.taken: list[Any] = []
        self.tried = 0
        self.is_closed = False
        self.failures = failures
        self._hold = hold

    def send(self, families: Sequence[Family], instance: str) -> None:
        """Take it, or fail."""
        assert instance == "here:1"
        self.tried += 1
        self._hold()
        if self.tried <= self.failures:
            raise PlatformError("The test takes nothing.")
        self.taken += families

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def _sender(metrics: Metrics, taker: Taker, interval_s: float) -> MetricSender:
    given: Any = metrics
    return MetricSender(given, taker, "here:1", interval_s)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  (the sender tells nobody what it did)
            await asyncio.sleep(0.001)


async def test_it_sends_at_once_and_again_at_the_end() -> None:
    """What has happened since the last time is not lost with the gateway."""
    taker = Taker()
    sender = _sender(Metrics(), taker, NEVER_S)
    await _until(lambda: taker.taken == [1])
    await sender.close()
    assert taker.taken == [1, 2]
    assert taker.is_closed


async def test_a_collector_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """It gets everything when it is back, and the next time that it is away is told of again."""
    taker = Taker(failures=4)
    sender = _sender(Metrics(), taker, 0.001)
    await _until(lambda: len(taker.taken) > 0)
    assert _warned(caplog) == 1
    taker.failures = taker.tried + 4
    await _until(lambda: taker.tried > taker.failures)
    assert _warned(caplog) == 2
    await sender.close()


async def test_it_goes_on_after_whatever_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    """One that had ended would leave out everything from then on."""
    taker = Taker()
    sender = _sender(Metrics(ServerUnavailableError("nobody"), RuntimeError("the test's own")), taker, 0.001)
    await _until(lambda: len(taker.taken) > 0)
    await sender.close()
    assert taker.taken[0] == 3
    assert _warned(caplog) == 1
    assert sum("metrics.sending_crashed" in record.getMessage() for record in caplog.records) == 1


async def test_a_collector_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop runs on meanwhile, and the end waits for so long and no longer."""
    monkeypatch.setattr(metric_sender, "END_S", 0.01)
    released = threading.Event()
    taker = Taker(hold=released.wait)
    sender = _sender(Metrics(), taker, 0.001)
    try:
        await _until(lambda: taker.tried == 1)
        await asyncio.wait_for(sender.close(), 20)
        assert taker.is_closed
        assert taker.tried == 1
    finally:
        released.set()


def _warned(caplog: pytest.LogCaptureFixture) -> int:
    return sum("metrics.not_sent" in record.getMessage() for record in caplog.records)
