"""What-if and comparison without a pointer: every field is reached, filled and sent by keys alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import FINISHED
from tests.browser.platforms import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
STOPS_MAX = 60
"""More stops of the Tab key than lie between any two elements of these views."""


def _tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until an element has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(STOPS_MAX):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{STOPS_MAX} times Tab did not lead to {wanted}")


def _view(page: Page, platform: Platform, execution_id: str, name: str) -> None:
    """Open an execution, and go by keys to one of its views."""
    page.goto(f"{platform.address}/executions/{execution_id}")
    _tab_to(page, page.get_by_role("tab", name="Graph"))
    tab = page.get_by_role("tab", name=name)
    while tab.get_attribute("aria-selected") != "true":
        page.keyboard.press("ArrowRight")


def test_what_if_by_keyboard(page: Page, platform: Platform, finished: str) -> None:
    """Each field takes what is typed, Enter sends it, what is wrong is put right, and a task is opened."""
    _view(page, platform, finished, "What if")
    _tab_to(page, page.get_by_label("Order"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Order")).to_have_value("depth_first")
    for field, text in (("Workers", "1"), ("Each has", "cpu_cores=8"), ("Times as long", "corn=ten")):
        _tab_to(page, page.get_by_label(field))
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("corn=ten")
    expect(page.get_by_label("Times as long")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("corn=10")
    _tab_to(page, page.get_by_role("button", name="Simulate"))
    page.keyboard.press("Space")
    expect(page.locator(".verdict")).to_contain_text(re.compile(r"The change costs \d\.\d+ s"))
    _tab_to(page, page.get_by_role("button", name=re.compile("^corn: as it went")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="corn", exact=True)).to_be_focused()


def test_compare_by_keyboard(page: Page, platform: Platform, finished: str, failed: str) -> None:
    """One is chosen from those of the same workflow, then another by its id, and its page opened."""
    similar = platform.submit(FINISHED.replace("seconds: 0.3", "seconds: 0.6"))
    platform.over(similar)
    _view(page, platform, finished, "Compare")
    choice = page.get_by_label("The same workflow")
    _tab_to(page, choice)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text("They part at")).to_be_visible()
    expect(page).to_have_url(re.compile(f"with={choice.input_value()}$"))
    _tab_to(page, page.get_by_label("Or any, by its id"))
    page.keyboard.press("Control+A")
    page.keyboard.type(failed)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"with={failed}$"))
    expect(page.get_by_label("Differences")).to_contain_text("valve")
    _tab_to(page, page.get_by_role("link", name=failed))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{platform.address}/executions/{failed}")
    expect(page.locator(".head .badge")).to_have_text("failed")
