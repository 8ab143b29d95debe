"""Actions on runs that are large or failed, by keyboard too; and the workers and the queue of past events."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import FAILED, LARGE, violations
from tests.browser.platforms import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PATIENCE_MS = 60_000
"""How long a step of 1,000 tasks may take on a busy machine."""
SLOW = {"payload": {"seconds": 600}, "estimated_seconds": 600}


@pytest.fixture
def growing(platform: Platform) -> Iterator[str]:
    """An execution of 1,000 tasks, of which one runs for as long as the test and keeps others waiting."""
    first, *others = LARGE["tasks"]
    execution_id = platform.submit(LARGE | {"name": "growing", "tasks": [first | SLOW, *others]})
    platform.until(execution_id, lambda each: each["running"] == [first["id"]])
    yield execution_id
    platform.http.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()


def _answer(page: Page, button: str, yes: str = "") -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=yes or button).click()


def test_a_thousand_tasks_are_steered_while_they_run(page: Page, platform: Platform, growing: str) -> None:
    """Pause, resume and cancel do what they say; why the last task waits, and until when, is told."""
    one = f"{platform.address}/executions/{growing}"
    page.goto(f"{one}?task=t19x0")
    badge = page.locator(".head .badge")
    expect(badge).to_have_text("running", timeout=PATIENCE_MS)
    expect(page.get_by_label("Why")).to_contain_text("t18x", timeout=PATIENCE_MS)
    expect(page.locator(".eta")).to_contain_text("left", timeout=PATIENCE_MS)
    _answer(page, "Pause")
    expect(badge).to_have_text("paused", timeout=PATIENCE_MS)
    _answer(page, "Resume")
    expect(badge).to_have_text("running", timeout=PATIENCE_MS)
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".line").first).to_be_visible()
    _answer(page, "Cancel")
    expect(badge).to_have_text("cancelled", timeout=PATIENCE_MS)
    assert platform.over(growing)["status"] == "cancelled"


def test_a_task_among_a_thousand_is_restarted(page: Page, platform: Platform, large: str) -> None:
    """It runs again, and nothing else does; its result and its attempts are in its panel."""
    page.goto(f"{platform.address}/executions/{large}?task=t19x7")
    rows = page.get_by_role("region", name="Attempts").get_by_role("row")
    expect(rows).to_have_count(2, timeout=PATIENCE_MS)
    _answer(page, "Restart from here", "Restart")
    expect(rows).to_have_count(3, timeout=PATIENCE_MS)
    expect(page.locator(".head .badge")).to_have_text("succeeded", timeout=PATIENCE_MS)
    assert platform.over(large)["status"] == "succeeded"


def test_a_question_is_answered_before_a_thousand_tasks(page: Page, platform: Platform) -> None:
    """All of them wait for the answer, and run when it is given in the page."""
    question = {"agent_type": "approval", "payload": {"question": "Plant all of it?"}}
    tasks = [LARGE["tasks"][0] | question, *LARGE["tasks"][1:]]
    tasks[1:] = [task | {"depends_on": task["depends_on"] or ["t0x0"]} for task in tasks[1:]]
    execution_id = platform.submit(LARGE | {"name": "asking at large", "tasks": tasks})
    page.goto(f"{platform.address}/executions/{execution_id}?task=t0x0")
    asked = page.get_by_role("region", name="Question")
    expect(asked).to_contain_text("Plant all of it?", timeout=PATIENCE_MS)
    expect(page.get_by_label("Tasks by status")).to_contain_text("pending 999")
    asked.get_by_role("button", name="approve").click()
    expect(page.locator(".head .badge")).to_have_text("succeeded", timeout=PATIENCE_MS)
    expect(page.locator(".head .figures")).to_have_text("1000 of 1000")
    assert platform.over(execution_id)["status"] == "succeeded"


def test_a_thousand_tasks_are_rolled_back(page: Page, platform: Platform) -> None:
    """To the middle, from where they run again; then to the beginning, where they stop."""
    execution_id = platform.submit(LARGE)
    total = platform.over(execution_id)["version"]
    page.goto(f"{platform.address}/executions/{execution_id}")
    slider, badge = page.get_by_role("slider", name="Event"), page.locator(".head .badge")
    expect(badge).to_have_text("succeeded", timeout=PATIENCE_MS)
    _roll_back(page, total // 2)
    expect(slider).not_to_have_attribute("max", str(total), timeout=PATIENCE_MS)
    expect(badge).to_have_text("succeeded", timeout=PATIENCE_MS)
    again = platform.over(execution_id)
    assert (again["status"], again["done"]) == ("succeeded", 1000)
    assert again["version"] > total + 400, "half of the tasks ran again"

    _roll_back(page, 3, "stop")
    expect(badge).to_have_text("rolled back", timeout=PATIENCE_MS)
    assert platform.over(execution_id)["status"] == "rolled_back"
    expect(page.get_by_label("Tasks by status")).to_have_text(re.compile(r"^Tasks\s*compensated 1000$"))


def _roll_back(page: Page, to: int, then: str = "run again from there") -> None:
    page.get_by_role("slider", name="Event").fill(str(to))
    page.get_by_role("button", name="Roll back to here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("What it does")).to_contain_text("Run again", timeout=PATIENCE_MS)
    dialog.get_by_label(then).check()
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog).to_have_count(0, timeout=PATIENCE_MS)


def test_a_failed_task_is_restarted_from_there(page: Page, platform: Platform) -> None:
    """What stood before it is kept, and what it printed is there for each attempt."""
    execution_id = platform.submit(FAILED)
    platform.over(execution_id)
    page.goto(f"{platform.address}/executions/{execution_id}?task=valve")
    expect(page.get_by_role("region", name="Output")).to_contain_text("the valve is stuck")
    rows = page.get_by_role("region", name="Attempts").get_by_role("row")
    expect(rows).to_have_count(3)
    _answer(page, "Restart from here", "Restart")
    expect(rows).to_have_count(5)
    expect(page.locator(".head .badge")).to_have_text("failed")
    page.locator('.node[data-task="pump"]').click()
    expect(rows).to_have_count(2)


def test_an_action_by_keyboard(page: Page, platform: Platform, running: str) -> None:
    """A dialog takes the focus, is left with Escape, gives the focus back, and is answered with Enter."""
    page.goto(f"{platform.address}/executions/{running}")
    button = page.get_by_role("button", name="Pause", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    leave = dialog.get_by_role("button", name="Leave it")
    expect(leave).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(leave).to_be_focused()
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".head .badge")).to_have_text("paused")


def test_a_past_event_has_its_workers_and_its_queue(page: Page, platform: Platform, finished: str) -> None:
    """At each event of a task's way its allocation, with what that holds, and the queue are those of then."""
    events = platform.http.get(f"/executions/{finished}/events").json()["events"]
    at = {each["type"]: each for each in events if each.get("task_id") == "corn"}
    worker = at["TaskScheduled"]["worker_id"]
    shown = {
        "TaskReady": (None, True),
        "TaskScheduled": (worker, False),
        "TaskStarted": (worker, False),
        "TaskSucceeded": (None, False),
    }
    for kind, (holder, waits) in shown.items():
        page.goto(f"{platform.address}/executions/{finished}?at={at[kind]['version']}")
        workers, queue = page.get_by_role("region", name="Workers"), page.get_by_role("region", name="Queue")
        held = workers.locator("div", has=page.get_by_role("button", name="corn"))
        expect(held).to_have_count(int(holder is not None))
        if holder:
            # Another task may be on the same worker, and declares nothing.
            expect(held.locator("dt")).to_have_text(
                re.compile(f"^{holder} 2 cores, 64 MiB memory, [12] slots?$")
            )
            expect(held.locator("dd")).to_contain_text("corn 2 cores, 64 MiB memory")
        expect(queue.get_by_role("button", name="corn")).to_have_count(int(waits))


def test_axe_finds_nothing_in_a_large_run_nor_in_what_is_refused(
    themed: Page, platform: Platform, large: str
) -> None:
    """Views of 1,000 tasks, each dialog, and the page of an execution that is not there are clean."""
    one = f"{platform.address}/executions/{large}"
    for tab, ready in (("graph", ".node"), ("timeline", ".line"), ("events", ".event")):
        themed.goto(f"{one}/{tab}?task=t3x3&at=5000")
        expect(themed.locator(ready).first).to_be_attached(timeout=PATIENCE_MS)
        assert violations(themed) == [], tab
    themed.goto(f"{one}?task=t19x7")
    themed.get_by_role("button", name="Restart from here").click()
    assert violations(themed) == [], "restart"
    themed.goto(f"{one}?at=5000")
    themed.get_by_role("button", name="Fork here").click()
    assert violations(themed) == [], "fork"
    themed.goto(f"{platform.address}/executions/nothing")
    expect(themed.get_by_role("alert")).to_contain_text("nothing")
    assert violations(themed) == [], "unknown"


def test_dialogs_and_a_large_run_fit_on_a_phone(browser: Browser, platform: Platform, large: str) -> None:
    """At 360 px nothing is wider than the screen, and what a dialog asks can be answered there."""
    page = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    one = f"{platform.address}/executions/{large}"
    for tab in ("graph", "timeline", "resources", "events"):
        page.goto(f"{one}/{tab}?task=t3x3&at=5000")
        expect(page.get_by_role("complementary")).to_be_visible(timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, tab
    for action in ("Roll back to here", "Fork here"):
        page.goto(f"{one}?at=5000")
        page.get_by_role("button", name=action).click()
        leave = page.get_by_role("dialog").get_by_role("button", name="Leave it")
        expect(page.get_by_role("dialog")).to_contain_text(re.compile("event|fork", re.IGNORECASE))
        leave.scroll_into_view_if_needed()
        expect(leave).to_be_in_viewport(ratio=0.99)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, action
        leave.click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.context.close()
