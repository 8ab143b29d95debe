"""Goal: a timer that is due in weeks is set in stages, and fires when the wall clock says so.

Method: a performer on a virtual loop, whose time passes at once.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from talka_chaos.virtual_loop import run_virtually
from talka_core.behaviour import SetTimer
from talka_protocols.messages import TimerFired
from talka_protocols.subjects import Names
from talka_services.runner.performer import STAGE_S, Performer

DAY_MS = 86_400_000


async def _fired_after_s(days: float, *, slept_s: float = 0.0) -> float:
    """Return when a timer fires on a machine whose loop's clock stood still for ``slept_s`` in between."""
    loop = asyncio.get_running_loop()
    fired: asyncio.Future[float] = loop.create_future()
    asleep_s = 0.0

    def ring(_timer: TimerFired) -> None:
        fired.set_result(loop.time())

    def now_ms(_key: str) -> int:
        return round(1000 * (loop.time() + asleep_s))

    ports: Any = SimpleNamespace(names=Names("test"), shards=2, max_bytes=1_000, payload_bytes=1_000)
    performer = Performer("scheduler.0", ports, None, ring, None, now_ms)
    began_s = loop.time()
    await performer.perform([("letter", cast("Any", SetTimer("e", "wait/t/1", round(days * DAY_MS))))])
    await asyncio.sleep(0.5 * STAGE_S)
    asleep_s = slept_s
    return await fired - began_s


def test_timer_of_weeks_fires_on_its_day() -> None:
    """No single call of the loop waits for longer than a day, and none of it is lost."""
    assert abs(run_virtually(_fired_after_s(40.0)) - 40 * STAGE_S) < 1.0


def test_timer_follows_the_wall_clock_over_a_sleep_of_the_machine() -> None:
    """A night in which the loop's clock stood still makes a far-off timer a day late at the most."""
    took_s = run_virtually(_fired_after_s(10.0, slept_s=6 * STAGE_S))
    assert abs(took_s - 4 * STAGE_S) < 1.0
