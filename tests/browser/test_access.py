"""What the page offers to whom: by role, and for what has left for an archive."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import ASKING, FINISHED, violations
from tests.browser.platforms import Platform, platform_at

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
TOKENS = {role: f"a-token-for-the-{role}-here" for role in ("viewer", "operator", "admin")}
ACTIONS = {
    "?task=ask": ("Pause", "Cancel", "approve", "reject"),
    "?task=look&at=9": ("Pause", "Cancel", "Roll back to here", "Fork here"),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose gateway knows a viewer, an operator and an admin."""
    directory = tmp_path_factory.mktemp("guarded")
    digests = {role: hashlib.sha256(token.encode()).hexdigest() for role, token in TOKENS.items()}
    entries = [{"name": role, "role": role, "sha256": digest} for role, digest in digests.items()]
    (directory / "access.yaml").write_text(json.dumps({"tokens": entries}))
    with platform_at(directory, "--access", "access.yaml", token=TOKENS["admin"]) as platform:
        yield platform


def _signed_in(browser: Browser, role: str) -> Page:
    page = browser.new_context(bypass_csp=True).new_page()
    page.add_init_script(f"sessionStorage.setItem('talka-token', '{TOKENS[role]}')")
    return page


@pytest.mark.parametrize("role", TOKENS)
def test_only_what_a_role_may_do_can_be_pressed(browser: Browser, guarded: Platform, role: str) -> None:
    """A viewer sees every action with the reason why it cannot be pressed; the others can press it."""
    execution_id = guarded.submit(ASKING)
    guarded.until(execution_id, lambda each: each["waiting"] == ["ask"])
    page = _signed_in(browser, role)
    one = f"{guarded.address}/executions/{execution_id}"
    is_refused = role == "viewer"
    for place, names in ACTIONS.items():
        page.goto(one + place)
        expect(page.locator(".caller")).to_have_text(role)
        for name in names:
            button = page.get_by_role("button", name=name, exact=True)
            if is_refused:
                expect(button).to_have_attribute("aria-disabled", "true")
            else:
                expect(button).to_be_enabled()
        expect(page.locator("#refusal")).to_have_count(int(is_refused))
        assert violations(page) == [], place
    if is_refused:
        expect(page.locator("#refusal")).to_contain_text("viewer")
        page.get_by_role("button", name="Cancel", exact=True).click(force=True)
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.context.close()
    guarded.http.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()


def test_what_is_archived_is_shown_from_its_file(browser: Browser, tmp_path: Path) -> None:
    """Graph, events and a task are as they were, nothing can be done about it, and that is said."""
    page = browser.new_context(bypass_csp=True).new_page()
    with platform_at(tmp_path) as platform:
        execution_id = platform.submit(FINISHED)
        platform.over(execution_id)
        argv = [sys.executable, "-m", "talka", "archive", execution_id, "--to", "kept", "--data-dir", "up"]
        subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        page.goto(platform.address)
        expect(page.locator(".row", has_text=execution_id)).to_contain_text("archived")
        page.goto(f"{platform.address}/executions/{execution_id}?task=soil")
        expect(page.locator(".node[data-status=succeeded]")).to_have_count(4)
        expect(page.get_by_role("region", name="Result")).to_contain_text("loam")
        expect(page.locator("#refusal")).to_contain_text("talka import")
        restart = page.get_by_role("button", name="Restart from here")
        expect(restart).to_have_attribute("aria-disabled", "true")
        page.get_by_role("slider", name="Event").fill("3")
        expect(page.locator(".instant")).to_contain_text("event 3")
        assert violations(page) == []

        (file,) = (tmp_path / "kept").iterdir()
        file.rename(tmp_path / "away")
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("cannot be read here")
        expect(page.get_by_role("alert")).to_contain_text("talka import")
    page.context.close()
