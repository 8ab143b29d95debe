"""Some of the scenarios of real faults; at night all run: ``python -m talka_chaos.scenarios --times 5``."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_chaos.scenarios.catalogue import CATALOGUE
from talka_chaos.scenarios.running import run_once
from talka_chaos.scenarios.scenario import missing

SAMPLE = ("freeze-scheduler", "reset-connections", "read-only-disk", "upgrade")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scenarios")]


@pytest.mark.parametrize("name", SAMPLE)
async def test_nothing_is_violated(name: str, tmp_path: Path) -> None:
    """After the fault is healed everything ends, and nothing that was promised is lost or doubled."""
    scenario = CATALOGUE[name]
    if lacking := missing(scenario.needs):
        pytest.skip(f"this machine lacks {'; '.join(lacking)}")
    outcome = await run_once(scenario, 0, tmp_path)
    assert outcome.violations == ()
    assert outcome.executions > 0
    assert outcome.reads > 0
