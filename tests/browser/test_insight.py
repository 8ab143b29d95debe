"""What the page says about time and resources: use, bottlenecks, what-if, comparison, alerts; who may ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import FINISHED, violations
from tests.browser.platforms import Platform, platform_at

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LATE = """
talka: 1
name: late
tasks: [{id: seed, agent_type: sleep, payload: {seconds: 600}, estimated_seconds: 600, deadline_seconds: 1}]
"""
TOKEN = "a-token-that-is-long-enough-to-be-one"


def test_resources_over_time(page: Page, platform: Platform, finished: str) -> None:
    """The pool and each of its workers have a chart, with figures and the instant of the slider."""
    page.goto(f"{platform.address}/executions/{finished}/resources?at=20")
    charts = page.locator(".chart")
    expect(charts).to_have_count(4)
    expect(charts.first).to_contain_text(re.compile(r"held on average, at most [0-9.]+ of 300"))
    expect(page.locator(".moment-line")).to_have_count(4)
    page.get_by_role("combobox", name="Resource").select_option("slots")
    expect(charts.first.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("^slots of Pool default: ")
    )

    page.get_by_role("link", name="Pools").click()
    expect(page.get_by_role("heading", name="Pools")).to_be_visible()
    expect(page.get_by_role("region", name="Pool default").locator(".chart")).to_have_count(4)
    page.get_by_label("The last").select_option("86400")
    expect(page.locator(".use-axis").first).to_contain_text("h")


def test_bottlenecks(page: Page, platform: Platform, finished: str) -> None:
    """The path that was taken, what it was spent on, and what would have saved time, as the gateway says."""
    found = platform.http.get(f"/executions/{finished}/bottlenecks").json()
    page.goto(f"{platform.address}/executions/{finished}/bottlenecks")
    path = page.get_by_role("region", name="Critical path, task by task").get_by_role("listitem")
    on_path = [each["task_id"] for each in found["segments"] if each["spent_on"] == "compute"]
    # What takes no time may have taken no whole millisecond, and is not on the path then.
    assert [task for task in on_path if task != "feast"] == ["soil", "corn"]
    for task in on_path:
        expect(path.filter(has=page.get_by_role("button", name=task, exact=True))).to_contain_text("running")
    expect(page.get_by_role("region", name="Where the time went")).to_contain_text("running")
    saving = page.get_by_role("region", name="What would have saved time").get_by_role("row")
    expect(saving).to_have_count(1 + len(found["alternatives"]))
    expect(saving.nth(1)).to_contain_text(found["alternatives"][0]["change"])
    path.get_by_role("button", name="corn").click()
    expect(page.get_by_role("complementary", name="Task corn")).to_be_visible()


def test_what_if(page: Page, platform: Platform, finished: str) -> None:
    """A change is simulated and stands beside how it really went; what makes no sense is said."""
    page.goto(f"{platform.address}/executions/{finished}/what-if")
    page.get_by_label("Times as long").fill("corn=ten")
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_role("alert")).to_contain_text("corn=ten")
    page.get_by_label("Times as long").fill("corn=10")
    page.get_by_label("Order").select_option("depth_first")
    page.get_by_label("Workers").fill("1")
    page.get_by_role("button", name="Simulate").click()
    expect(page.locator(".verdict")).to_contain_text(re.compile(r"The change costs \d\.\d+ s"))
    rows = page.get_by_role("region", name="Figures").get_by_role("row")
    expect(rows.filter(has_text="as it went")).to_contain_text("succeeded")
    expect(rows.filter(has_text="with the change")).to_contain_text("3.")
    expect(
        page.get_by_role("button", name=re.compile("^corn: as it went: .*; with the change: .* ran 3"))
    ).to_be_visible()


def test_what_if_refuses_what_is_not_there(browser: Browser, platform: Platform, finished: str) -> None:
    """A task that it does not have is named, with what may have been meant."""
    page = browser.new_page()
    page.goto(f"{platform.address}/executions/{finished}/what-if")
    page.get_by_label("Times as long").fill("con=2")
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_role("alert")).to_contain_text("no task 'con'")
    page.close()


@pytest.fixture(scope="module")
def similar(platform: Platform) -> str:
    """An execution of the same workflow, of which one task takes longer."""
    execution_id = platform.submit(FINISHED.replace("seconds: 0.3", "seconds: 0.6"))
    platform.over(execution_id)
    return execution_id


def test_two_executions_side_by_side(page: Page, platform: Platform, finished: str, similar: str) -> None:
    """One of the same workflow is offered; where they part, what differs and each task's time are shown."""
    page.goto(f"{platform.address}/executions/{finished}/compare")
    page.get_by_label("The same workflow").select_option(similar)
    expect(page).to_have_url(re.compile(f"with={similar}$"))
    differences = page.get_by_label("Differences")
    expect(differences).to_contain_text("corn (payload)")
    expect(page.locator(".pairs .line .label").first).to_have_text("corn")
    expect(
        page.get_by_role(
            "button", name=re.compile(r"^corn: this one: .* ran 3\d\d ms; the other: .* ran 6\d\d ms")
        )
    ).to_be_visible()
    expect(page.locator(".compare tr", has_text="They part at")).to_contain_text("event")
    page.get_by_role("link", name=similar).click()
    expect(page).to_have_url(f"{platform.address}/executions/{similar}")


@pytest.fixture
def late(platform: Platform) -> Iterator[str]:
    """An execution whose deadline is threatened for as long as the test."""
    execution_id = platform.submit(LATE)
    yield execution_id
    platform.http.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()


def test_alerts_come_by_themselves_and_are_acknowledged(page: Page, platform: Platform) -> None:
    """An alert that is raised while the page is open appears, is acknowledged, and leads to its execution."""
    page.goto(f"{platform.address}/alerts")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    late = platform.submit(LATE)
    row = page.get_by_role("listitem").filter(has_text=late)
    expect(row).to_contain_text("deadline threatened")
    row.get_by_role("button", name="Acknowledge").click()
    expect(row).to_contain_text("seen just now")
    expect(row.get_by_role("button", name="Acknowledge")).to_have_count(0)
    platform.http.post(f"/executions/{late}/cancel", json={}).raise_for_status()
    expect(row).to_have_count(0)
    page.get_by_label("also those that are over").check()
    expect(row).to_contain_text("over")
    row.get_by_role("link", name="its execution").click()
    expect(page.locator(".head .badge")).to_have_text("cancelled")


def test_what_was_over_is_followed_again_when_others_set_it_going(page: Page, platform: Platform) -> None:
    """A restart that the page did not ask for is seen without a reload."""
    execution_id = platform.submit(FINISHED)
    platform.over(execution_id)
    page.goto(f"{platform.address}/executions/{execution_id}?task=feast")
    attempts = page.get_by_role("complementary").get_by_role("table").get_by_role("row")
    expect(attempts).to_have_count(2)
    expect(page.locator(".head .badge")).to_have_text("succeeded")
    answer = platform.http.post(f"/executions/{execution_id}/restart", json={"from_task": "feast"})
    answer.raise_for_status()
    expect(attempts).to_have_count(3)
    expect(page.locator(".head .badge")).to_have_text("succeeded")


def test_the_page_asks_for_the_token(browser: Browser, tmp_path: Path) -> None:
    """Every view asks for it where the gateway does, says when it is wrong, and takes the right one."""
    (tmp_path / "token").write_text(TOKEN)
    with platform_at(tmp_path, "--token-file", "token", token=TOKEN) as guarded:
        page = browser.new_page(bypass_csp=True)
        for place in ("/executions/nothing", "/pools", "/alerts", "/"):
            page.goto(guarded.address + place)
            expect(page.get_by_role("alert").get_by_label("Token")).to_be_visible()
            assert violations(page) == [], place
        page.get_by_label("Token").fill("not-the-token-but-as-long-as-it-is-x")
        page.get_by_role("button", name="Use it in this tab").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Use it in this tab").click()
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        execution_id = guarded.submit(FINISHED)
        page.locator(".row", has_text=execution_id).click()
        expect(page.locator(".head .badge")).to_have_text("succeeded")
        page.close()


def _views(platform: Platform, first: str, second: str) -> Iterator[tuple[str, str, str]]:
    """Yield every view of this module: its address, what shows that it is there, and what is pressed."""
    one = f"{platform.address}/executions/{first}"
    yield f"{one}/resources?at=20", ".moment-line", ""
    yield f"{one}/bottlenecks", "text=What would have saved time", ""
    yield f"{one}/what-if", ".verdict", "Simulate"
    yield f"{one}/compare?with={second}", ".pairs .line", ""
    yield f"{platform.address}/pools", ".chart", ""
    yield f"{platform.address}/alerts", ".alert", ""


def _show(page: Page, address: str, ready: str, pressed: str) -> None:
    page.goto(address)
    if pressed:
        page.get_by_role("button", name=pressed).click()
    expect(page.locator(ready).first).to_be_attached()


def test_axe_finds_nothing_in_them(
    themed: Page, platform: Platform, finished: str, similar: str, late: str
) -> None:
    """Every one of these views is clean for axe, in light and dark, with all that it can show."""
    for view in _views(platform, finished, similar):
        _show(themed, *view)
        assert violations(themed) == [], view


def test_they_fit_on_a_phone(
    browser: Browser, platform: Platform, finished: str, similar: str, late: str
) -> None:
    """At 360 px none of these views is wider than the screen, and the chosen tab is in sight."""
    page = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    for view in _views(platform, finished, similar):
        _show(page, *view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
        for tab in page.locator("[role=tab][aria-selected=true]").all():
            expect(tab).to_be_in_viewport(ratio=0.99)
    page.context.close()
