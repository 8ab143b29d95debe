"""The timeline's bars: what is waited for and what runs have shades, and the critical path is marked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import violations
from tests.browser.platforms import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WHOLE_WORKER = "resources: {cpu_cores: 100}"
SHADES = f"""
talka: 1
name: shades
max_parallel: 5
tasks:
  - {{id: big1, agent_type: sleep, payload: {{seconds: 0.6}}, {WHOLE_WORKER}}}
  - {{id: big2, agent_type: sleep, payload: {{seconds: 0.6}}, {WHOLE_WORKER}}}
  - {{id: big3, agent_type: sleep, payload: {{seconds: 0.6}}, {WHOLE_WORKER}}}
  - {{id: crowded, agent_type: sleep, payload: {{seconds: 1.5}}, {WHOLE_WORKER}}}
  - {{id: flaky, agent_type: command, retries: 1, resources: {{cpu_cores: 0}},
      retry: {{base_seconds: 0.4, jitter: 0}},
      payload: {{argv: [sh, -c, 'test "$TALKA_ATTEMPT" -ge 2']}}}}
  - {{id: behind, agent_type: sleep, payload: {{seconds: 0}}, priority: 1, {WHOLE_WORKER}}}
"""
COLOURS = """
bars => Object.fromEntries(bars.map(bar => [bar.getAttribute('class'), getComputedStyle(bar).fill]))
"""


@pytest.fixture(scope="module")
def shades(platform: Platform) -> str:
    """An execution in which a task waits for its turn, one for resources, and one is tried again."""
    execution_id = platform.submit(SHADES)
    assert platform.over(execution_id)["status"] == "succeeded"
    return execution_id


def _phases(page: Page) -> set[str]:
    """Return the phases with bars that can be seen; whose they are is the scheduler's choice."""
    found = page.locator(".line .bar").evaluate_all(
        "bars => bars.filter(bar => bar.width.baseVal.value > 3).map(bar => bar.getAttribute('class'))"
    )
    return {re.sub("bar p-", "", each) for each in found}


def test_each_phase_has_a_shade_of_its_own(themed: Page, platform: Platform, shades: str) -> None:
    """Turn, resources, run, failure and pause are where they were; no two colours of the legend are alike."""
    themed.goto(f"{platform.address}/executions/{shades}/timeline")
    expect(themed.locator(".line").first).to_be_visible()
    assert {"queue", "resource", "run", "retry"} <= _phases(themed)
    expect(themed.locator('g[data-task="flaky"] .p-failed')).to_have_count(1)
    expect(themed.get_by_label("Legend")).to_contain_text("critical path")
    colours = themed.get_by_label("Legend").locator("rect").evaluate_all(COLOURS)
    assert len(colours) == 8
    assert len(set(colours.values())) == len(colours), colours
    said = themed.get_by_role("button", name=re.compile("^flaky: "))
    expect(said).to_have_attribute("aria-label", re.compile("pauses before it is tried again"))
    themed.get_by_role("button", name="By worker").click()
    expect(themed.get_by_role("region", name="Timeline by worker")).to_contain_text("crowded")
    assert violations(themed) == []


def test_the_critical_path_is_that_of_the_platform(page: Page, platform: Platform, shades: str) -> None:
    """The tasks on the path that was taken, and no others, are marked."""
    found = platform.http.get(f"/executions/{shades}/bottlenecks", params={"simulate": "false"}).json()
    on_path = {each["task_id"] for each in found["segments"] if each["task_id"]}
    assert on_path
    page.goto(f"{platform.address}/executions/{shades}/timeline")
    expect(page.locator(".line .critical").first).to_be_attached()
    marked = page.locator(".line .critical").evaluate_all(
        "marks => marks.map(mark => mark.parentElement.dataset.task)"
    )
    assert set(marked) == on_path
