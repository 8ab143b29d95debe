"""What is done about executions from the page: answers, restarts, rollbacks, forks; and what tasks print."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.platforms import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_run_is_answered_restarted_rolled_back_and_forked(
    page: Page, platform: Platform, asking: str
) -> None:
    """Each action asks first, does what it says, and the page goes on following what it set going."""
    execution_id = asking
    page.goto(f"{platform.address}/executions/{execution_id}?task=look")
    output = page.get_by_role("region", name="Output")
    expect(output).to_contain_text("the soil is wet")
    expect(output.locator(".stderr")).to_contain_text("and cold")

    page.locator('.node[data-task="ask"]').click()
    question = page.get_by_role("region", name="Question")
    expect(question).to_contain_text("Plant today?")
    question.get_by_label("Comment").fill("after the rain")
    question.get_by_role("button", name="approve").click()
    badge = page.locator(".head .badge")
    expect(badge).to_have_text("succeeded")
    assert "after the rain" in platform.http.get(f"/executions/{execution_id}/events").text

    page.locator('.node[data-task="plant"]').click()
    page.get_by_role("button", name="Restart from here").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(page.get_by_role("complementary").get_by_role("table").get_by_role("row")).to_have_count(3)
    expect(badge).to_have_text("succeeded")
    assert platform.over(execution_id)["status"] == "succeeded"

    slider = page.get_by_role("slider", name="Event")
    events = platform.http.get(f"/executions/{execution_id}/events").json()["events"]
    looked = next(
        each["version"] for each in events if (each["type"], each.get("task_id")) == ("TaskSucceeded", "look")
    )
    slider.fill(str(looked))
    page.get_by_role("button", name="Roll back to here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cannot be undone")
    expect(dialog.get_by_role("button", name="Roll back")).to_be_disabled()
    dialog.get_by_label("stop").check()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Roll back").click()
    expect(badge).to_have_text("rolled back")
    assert platform.over(execution_id)["status"] == "rolled_back"

    slider.fill(str(looked))
    page.get_by_role("button", name="Fork here").click()
    page.get_by_role("dialog").get_by_role("button", name="Fork").click()
    expect(page).not_to_have_url(re.compile(execution_id))
    expect(badge).to_have_text("running")
    expect(page.locator('.node[data-task="look"]')).to_contain_text("succeeded")
    fork = page.url.rsplit("/", 1)[1]
    platform.http.post(f"/executions/{fork}/cancel", json={}).raise_for_status()
    expect(badge).to_have_text("cancelled")
