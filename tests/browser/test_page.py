"""The web page in a real browser on a real platform: every view, on what ran, failed, runs, and is large."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.conftest import FINISHED, violations
from tests.browser.platforms import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

TABS = ("graph", "timeline", "events")


def _node(page: Page, task: str) -> Locator:
    return page.locator(f'.node[data-task="{task}"]')


def _open(page: Page, platform: Platform, execution_id: str, rest: str = "") -> None:
    page.goto(f"{platform.address}/executions/{execution_id}{rest}")
    expect(page.get_by_role("tablist")).to_be_visible()


def test_list_shows_filters_and_updates(page: Page, platform: Platform, finished: str, failed: str) -> None:
    """What ran is there, search and status narrow it, and what is submitted then appears by itself."""
    page.goto(platform.address)
    expect(page.locator(".row", has_text=finished)).to_contain_text("succeeded")
    expect(page.locator(".row", has_text=failed)).to_contain_text("3 of 3")
    expect(page.get_by_text("live", exact=True)).to_be_visible()

    page.get_by_label("Status").select_option("failed")
    expect(page.locator(".row", has_text=finished)).to_have_count(0)
    expect(page.locator(".row", has_text=failed)).to_be_visible()
    page.get_by_label("Status").select_option("")
    page.get_by_label("Search").fill(finished[:9])
    expect(page.locator(".row")).to_have_count(1)
    page.get_by_label("Search").fill("")
    expect(page.locator(".row", has_text=failed)).to_be_visible()

    execution_id = platform.submit(FINISHED)
    row = page.locator(".row", has_text=execution_id)
    expect(row).to_contain_text("succeeded")
    row.click()
    expect(page).to_have_url(f"{platform.address}/executions/{execution_id}")
    page.go_back()
    expect(page.get_by_role("heading", name="Executions")).to_be_visible()


def test_unknown_execution(browser: Browser, platform: Platform) -> None:
    """Who asks for what is not there is told so."""
    page = browser.new_page()
    page.goto(f"{platform.address}/executions/nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")
    page.close()


def test_finished_execution(page: Page, platform: Platform, finished: str) -> None:
    """The graph, the timeline and the events of an execution that succeeded."""
    _open(page, platform, finished)
    for task in ("soil", "corn", "beans", "feast"):
        expect(_node(page, task)).to_contain_text("succeeded")
    _node(page, "soil").click()
    panel = page.get_by_role("complementary", name="Task soil")
    expect(panel).to_contain_text("Test the soil")
    expect(panel.get_by_label("Result")).to_contain_text("loam")
    expect(panel.get_by_role("row")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    _node(page, "feast").click()
    expect(page.get_by_role("region", name="Inputs")).to_contain_text('"soil": "loam"')
    page.keyboard.press("Escape")

    page.get_by_role("tab", name="Timeline").click()
    line = page.get_by_role("button", name="corn: ")
    expect(line).to_be_visible()
    expect(page.get_by_label("Legend")).to_contain_text("critical path")
    assert page.locator(".line .critical").count() >= 2
    page.get_by_role("button", name="By worker").click()
    expect(page.get_by_role("region", name="Timeline by worker")).to_contain_text("corn")

    page.get_by_role("tab", name="Events").click()
    expect(page.locator(".event").last).to_be_visible()
    page.get_by_label("Type of event").select_option("TaskSucceeded")
    expect(page.locator(".event")).to_have_count(4)
    page.get_by_label("Filter events").fill("corn")
    expect(page.locator(".event")).to_have_count(1)


def test_failed_execution(page: Page, platform: Platform, failed: str) -> None:
    """What failed says so, with its attempts and its error; what was behind it was skipped."""
    _open(page, platform, failed, "?task=valve")
    expect(_node(page, "valve")).to_contain_text("failed · attempt 2")
    expect(_node(page, "field")).to_contain_text("skipped")
    panel = page.get_by_role("complementary", name="Task valve")
    expect(panel.get_by_label("Error")).to_contain_text("the valve is stuck")
    expect(panel.get_by_role("row")).to_have_count(3)
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".line .p-failed")).to_have_count(2)
    page.get_by_role("tab", name="Events").click()
    expect(page.locator(".event", has_text="ExecutionFailed")).to_be_visible()


def test_running_execution(page: Page, platform: Platform, running: str) -> None:
    """A running execution goes on by itself; why a task waits is told; pause, resume and cancel ask first."""
    _open(page, platform, running, "?task=after")
    expect(_node(page, "slow")).to_contain_text("running")
    expect(page.get_by_label("Why")).to_contain_text("slow")
    start = page.get_by_role("region", name="Start")
    expect(start).to_contain_text(re.compile(r"Expected to start in about .*, after .*/slow has ended"))
    expect(start.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(page.get_by_label("Workers")).to_contain_text("slow")
    expect(page.locator(".eta")).to_contain_text("left")
    for tab in ("Timeline", "Events", "Graph"):
        page.get_by_role("tab", name=tab).click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator(".head .badge")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.locator(".head .badge")).to_have_text("running")

    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert platform.get(running)["status"] == "running"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".head .badge")).to_have_text("cancelled")
    expect(_node(page, "slow")).to_contain_text("cancelled")
    assert platform.get(running)["status"] == "cancelled"


def test_slider_goes_back_and_forth(page: Page, platform: Platform, finished: str) -> None:
    """At every event the page shows what the scheduler's own fold says of it; playing leads to the end."""
    _open(page, platform, finished)
    slider = page.get_by_role("slider", name="Event")
    total = int(slider.get_attribute("max") or 0)
    assert total == platform.get(finished)["version"]
    for version in (2, total // 3, total // 2, total - 1):
        slider.fill(str(version))
        state = platform.http.get(f"/executions/{finished}/state", params={"at": version}).json()
        for task in state["tasks"]:
            expect(_node(page, task["task_id"])).to_have_attribute("data-status", task["status"])
    page.get_by_role("button", name="Event before").click()
    expect(page.locator(".instant")).to_contain_text(f"event {total - 2} of {total}")
    page.get_by_role("button", name="Next event").click()
    page.reload()
    expect(page.locator(".instant")).to_contain_text(f"event {total - 1} of {total}")
    page.get_by_role("button", name="Now").click()
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".instant")).to_contain_text("event 2 of")
    expect(page.get_by_role("button", name="Now")).to_have_attribute("aria-pressed", "true")


def test_keyboard(page: Page, platform: Platform, finished: str) -> None:
    """Tabs, tasks and events are reached and chosen without a pointer."""
    _open(page, platform, finished)
    page.get_by_role("tab", name="Graph").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    _node(page, "soil").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(_node(page, "feast")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="feast")).to_be_focused()
    page.keyboard.press("Escape")
    expect(_node(page, "feast")).to_be_focused()
    page.get_by_role("tab", name="Events").click()
    page.get_by_role("listbox", name="Events").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".instant")).to_contain_text("event 2 of")


def test_thousand_tasks(page: Page, platform: Platform, large: str) -> None:
    """Of a graph of 1,000 tasks, as of long lists, only what is in sight is drawn, and the slider steps."""
    _open(page, platform, large)
    expect(page.get_by_role("group", name="Graph of 1000 tasks")).to_be_visible()
    expect(_node(page, "t0x0")).to_be_visible()
    assert page.locator(".node").count() < 400
    page.locator(".canvas").evaluate("box => box.scrollTo(box.scrollWidth, box.scrollHeight)")
    last = page.locator('.node[data-task^="t19x"]').last
    expect(last).to_be_in_viewport()
    last.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(":focus")).to_have_attribute("data-task", re.compile("^t18x"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name=re.compile("^Task t18x"))).to_be_visible()
    page.keyboard.press("Escape")
    slider = page.get_by_role("slider", name="Event")
    slider.fill("2000")
    expect(page.locator(".instant")).to_contain_text("event 2000 of")
    expect(page.locator(".node[data-status=pending]").first).to_be_attached()
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".line").first).to_be_visible()
    assert page.locator(".line").count() < 100
    page.get_by_role("tab", name="Events").click()
    expect(page.locator(".event[aria-selected=true]")).to_contain_text("2000")
    assert page.locator(".event").count() < 100


def test_phone(browser: Browser, platform: Platform, running: str) -> None:
    """At 360 px nothing is wider than the screen, in any view."""
    page = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    for address in ("/", *(f"/executions/{running}/{tab}?task=slow" for tab in TABS)):
        page.goto(platform.address + address)
        expect(page.locator(".row, .tabs").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
    page.context.close()


def test_axe_finds_nothing(themed: Page, platform: Platform, failed: str, running: str, asking: str) -> None:
    """Every view is clean for axe, in light and dark."""
    addresses = [f"/executions/{failed}/{tab}?task=valve&at=30" for tab in TABS]
    addresses += [f"/executions/{running}/{tab}?task=after" for tab in TABS]
    for address in ("/", *addresses):
        themed.goto(platform.address + address)
        expect(themed.locator(".row, .tabs").first).to_be_visible()
        assert violations(themed) == [], address
    themed.get_by_role("button", name="Cancel").click()
    assert violations(themed) == []
    themed.get_by_role("button", name="Leave it").click()

    themed.goto(f"{platform.address}/executions/{asking}?task=ask&at=8")
    themed.get_by_role("button", name="Roll back to here").click()
    expect(themed.get_by_role("dialog").get_by_text("run again from there")).to_be_visible()
    assert violations(themed) == []
    themed.get_by_role("button", name="Leave it").click()
    for task, region in (("ask", "Question"), ("look", "Output")):
        themed.goto(f"{platform.address}/executions/{asking}?task={task}")
        expect(themed.get_by_role("region", name=region)).to_be_visible()
        assert violations(themed) == []
