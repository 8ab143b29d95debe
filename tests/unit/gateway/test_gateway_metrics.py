"""The reader of what is measured goes on, whatever goes wrong."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from talka_protocols.errors import PlatformError
from talka_services.gateway import metrics
from talka_services.gateway.callers import Callers
from talka_services.gateway.metrics import Metrics


class News:
    """Fails when it begins, each time in another way, until nothing is left; then nothing ever comes."""

    failures: list[Exception]
    is_read: asyncio.Event

    def __init__(self, *_about: object) -> None:
        """Take anything."""

    async def begin(self) -> int:
        """Fail, or begin."""
        if self.failures:
            raise self.failures.pop()
        return 0

    async def next(self) -> list[Any]:
        """Wait for ever."""
        self.is_read.set()
        await asyncio.Event().wait()
        return []

    async def close(self) -> None:
        """Have nothing to close."""


async def test_a_reader_that_fails_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had ended would show its last numbers for ever."""
    News.failures, News.is_read = (
        [RuntimeError("the test's own"), PlatformError("nobody is there")],
        asyncio.Event(),
    )
    monkeypatch.setattr(metrics, "News", News)
    monkeypatch.setattr(metrics, "AGAIN_S", 0.001)
    node = SimpleNamespace(connection=None)
    source: Any = SimpleNamespace(orchestrator=SimpleNamespace(node=node), overview=None, told={})
    reader = Metrics(source, Callers())
    await asyncio.wait_for(News.is_read.wait(), 20)
    assert News.failures == []
    await reader.close()
