"""Every view and what can be done, on a run that goes on, on one that failed, and on one of 1,000 tasks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import FAILED
from tests.browser.platforms import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PATIENCE_MS = 60_000
"""How long a simulation of 1,000 tasks may take on a busy machine."""


@pytest.mark.parametrize("which", ["running", "failed", "large"])
def test_every_view(
    page: Page, platform: Platform, finished: str, which: str, request: pytest.FixtureRequest
) -> None:
    """Resources, bottlenecks, what would have been, another run beside it, and the events: of all of them."""
    one = f"{platform.address}/executions/{request.getfixturevalue(which)}"
    page.goto(f"{one}/resources")
    expect(page.locator(".chart").first).to_be_visible()
    page.goto(f"{one}/bottlenecks")
    expect(page.get_by_role("heading", name="Critical path")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{one}/what-if")
    page.get_by_label("Most tasks at once").fill("3")
    page.get_by_role("button", name="Simulate").click()
    expect(page.locator(".verdict")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{one}/compare?with={finished}")
    expect(page.get_by_text("They part at")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{one}/events")
    expect(page.locator(".event").first).to_be_visible()


@pytest.mark.parametrize("which", ["running", "failed", "large"])
def test_going_back(page: Page, platform: Platform, which: str, request: pytest.FixtureRequest) -> None:
    """What a rollback would do is shown before it is asked for, and a fork begins from the same event."""
    execution_id = request.getfixturevalue(which)
    page.goto(f"{platform.address}/executions/{execution_id}")
    page.get_by_role("slider", name="Event").fill("9")
    page.get_by_role("button", name="Roll back to here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("What it does")).to_contain_text("Run again", timeout=PATIENCE_MS)
    dialog.get_by_role("button", name="Leave it").click()
    page.get_by_role("button", name="Fork here").click()
    page.get_by_role("dialog").get_by_role("button", name="Fork").click()
    expect(page).not_to_have_url(re.compile(execution_id), timeout=PATIENCE_MS)
    fork = re.split(r"[/?]", page.url)[-1]
    assert platform.get(fork)["total"] == platform.get(execution_id)["total"]
    platform.http.post(f"/executions/{fork}/cancel", json={}).raise_for_status()


def test_what_failed_is_restarted_and_rolled_back(page: Page, platform: Platform) -> None:
    """It fails again, after two more attempts; then all of it is undone."""
    execution_id = platform.submit(FAILED)
    platform.over(execution_id)
    page.goto(f"{platform.address}/executions/{execution_id}?task=valve")
    rows = page.get_by_role("complementary").get_by_role("row")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Restart", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(rows).to_have_count(5)
    expect(page.locator(".head .badge")).to_have_text("failed")
    page.get_by_role("slider", name="Event").fill("3")
    page.get_by_role("button", name="Roll back to here").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("stop").check()
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.locator(".head .badge")).to_have_text("rolled back")
