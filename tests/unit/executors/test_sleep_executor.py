"""The sleep executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.registry import ExecutorSettings
from talka_services.executors.sleep import SleepExecutor

Make = Callable[..., Attempt]


async def test_time_is_scaled(attempt: Make) -> None:
    """An hour at a scale of a millionth is over at once, and says how long it was."""
    executor = SleepExecutor(ExecutorSettings(time_scale=1e-6))
    assert await executor.execute(attempt(seconds=3600)) == {"slept_s": pytest.approx(0.0036)}
    await executor.close()


@pytest.mark.parametrize("result", [None, 0, {"a": [1]}, "text"])
async def test_the_result_is_given(attempt: Make, result: Any) -> None:
    """A result in the payload is returned as it is, None included."""
    assert await SleepExecutor(ExecutorSettings()).execute(attempt(seconds=0, result=result)) == result


@pytest.mark.parametrize("payload", [{}, {"seconds": -1}, {"seconds": "long"}, {"seconds": 1, "more": 1}])
async def test_a_wrong_payload_fails(attempt: Make, payload: dict[str, Any]) -> None:
    """Missing, negative and unknown values fail and say what is expected."""
    with pytest.raises(TaskFailedError, match="It takes seconds"):
        await SleepExecutor(ExecutorSettings()).execute(attempt(**payload))


async def test_it_can_be_cancelled(attempt: Make) -> None:
    """A long sleep ends when it is cancelled."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await SleepExecutor(ExecutorSettings()).execute(attempt(seconds=600))
