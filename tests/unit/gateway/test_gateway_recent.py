"""Where executions stand that were asked for lately: read on, never from a state that was folded in part."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.gateway.test_gateway_overview import WORK, Stream

from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import ExecutionAccepted, ExecutionPaused, ExecutionStarted
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.gateway import recent as module
from talka_services.gateway.recent import Recent


class Logs(Stream):
    """Logs that can be read on from a position."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False

    def name(self, execution_id: str) -> LogName:
        """Return the name of a log."""
        return LogName(EXECUTION, "0", execution_id)

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind a position."""
        await asyncio.sleep(0)
        return [each for each in self.commits if each.log.key == log.key and each.position > after]

    async def decoded(self, commit: StoredCommit) -> Any:
        """Read one commit."""
        if self.is_broken:
            raise BrokenHistoryError("It cannot be read.")
        return self.decode(commit)


@pytest.fixture
def logs() -> Logs:
    found = Logs()
    found.append("a", ExecutionAccepted(WORK), ExecutionStarted())
    return found


def over(logs: Logs) -> Recent:
    either: Any = logs
    return Recent(either, either)


async def test_it_is_read_on_also_by_many_at_once(logs: Logs) -> None:
    recent = over(logs)
    assert (await recent.document("a")).version == 2
    logs.append("a", ExecutionPaused())
    found = await asyncio.gather(*(recent.document("a") for _ in range(5)))
    assert ([each.version for each in found], logs.loads) == ([3] * 5, 1)
    assert {each.status for each in found} == {"paused"}


async def test_what_cannot_be_read_on_is_read_anew(logs: Logs) -> None:
    recent = over(logs)
    await recent.document("a")
    logs.append("a", ExecutionPaused())
    logs.is_broken = True
    with pytest.raises(BrokenHistoryError):
        await recent.document("a")
    logs.is_broken = False
    assert ((await recent.document("a")).version, logs.loads) == (3, 2)


async def test_only_the_last_ones_are_kept(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 1)
    logs.append("b", ExecutionAccepted(WORK))
    recent = over(logs)
    for name in ("a", "b", "a"):
        await recent.document(name)
    assert logs.loads == 3
