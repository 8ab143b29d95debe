"""Takes the pictures of the web page in docs/images: ``python -m docs.screenshots``; needs Chromium."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from tests.browser.platforms import Platform, chromium, platform_at

from talka_services.gateway.access import digest_of

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
WIDE = {"width": 1280, "height": 860}
TALL = WIDE | {"height": 950}
PHONE = {"width": 360, "height": 740}
FAILING = """
talka: 1
name: water the fields
tasks:
  - {id: pump, agent_type: sleep, payload: {seconds: 0.5}}
  - {id: valve, name: Open the valve, agent_type: command, depends_on: [pump], retries: 2,
     payload: {argv: [sh, -c, "sleep 0.3; echo 'the valve is stuck' >&2; exit 3"]}}
  - {id: channel, agent_type: sleep, payload: {seconds: 1.2}, depends_on: [pump]}
  - {id: field, agent_type: sleep, payload: {seconds: 1}, depends_on: [valve, channel]}
"""
LATE = """
talka: 1
name: bring in the hay
tasks:
  - {id: hay, name: Bring in the hay, agent_type: sleep, payload: {seconds: 3600},
     estimated_seconds: 3600, deadline_seconds: 600}
"""
ASKING = """
talka: 1
name: plant the corn
tasks:
  - {id: soil, name: Test the soil, agent_type: command,
     payload: {argv: [sh, -c, "echo 'plot 1: 14 degrees'; echo 'plot 2: no answer' >&2"]}}
  - {id: neighbours, name: Tell the neighbours, agent_type: sleep, payload: {seconds: 0.2},
     depends_on: [soil], irreversible: true}
  - {id: ask, agent_type: approval, payload: {question: "Plant today?", assignees: [Ada]},
     depends_on: [neighbours]}
  - {id: plant, agent_type: sleep, payload: {seconds: 1}, depends_on: [ask]}
"""


def main() -> None:
    """Run what the pictures show, and take them."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        options = ("--workers", "3", "--capacity", "cpu_cores=2")
        with platform_at(Path(directory), *options, host="farm") as platform:
            _take(browser, platform)
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        _kept_from(browser, Path(directory))


def _take(browser: Browser, platform: Platform) -> None:
    quick = (DOCS / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    finished, failed = platform.submit(quick), platform.submit(FAILING)
    platform.over(finished)
    platform.over(failed)
    running = platform.submit(quick.replace("seconds: 1.6", "seconds: 30"))
    platform.until(running, lambda each: each["done"] >= 5)

    light = _page(browser, WIDE)
    light.goto(f"{platform.address}/executions/{running}?task=water")
    light.get_by_role("heading", name="Why").wait_for()
    _save(light, "page-running")
    light.goto(platform.address)
    light.get_by_text("live", exact=True).wait_for()
    _save(light, "page-list")
    light.goto(f"{platform.address}/executions/{finished}/timeline")
    light.get_by_text("critical path").wait_for()
    _save(light, "page-timeline")
    light.get_by_role("button", name="By worker").click()
    _save(light, "page-workers")
    _insight(light, platform, finished, quick)
    light.goto(f"{platform.address}/executions/{failed}?task=valve")
    light.get_by_role("heading", name="Error").wait_for()
    _save(light, "page-failed")

    asking = platform.submit(ASKING)
    platform.until(asking, lambda each: each["waiting"] == ["ask"])
    light.goto(f"{platform.address}/executions/{asking}?task=ask")
    light.get_by_role("heading", name="Asks Ada").wait_for()
    _save(light, "page-question")
    light.goto(f"{platform.address}/executions/{asking}?task=soil")
    light.get_by_role("heading", name="Output").wait_for()
    _save(light, "page-output")
    light.goto(f"{platform.address}/executions/{asking}?at=8")
    light.get_by_role("button", name="Roll back to here").click()
    light.get_by_text("run again from there").wait_for()
    _save(light, "page-rollback")

    dark = _page(browser, TALL, color_scheme="dark")
    dark.goto(f"{platform.address}/executions/{finished}?at=40")
    dark.locator("[data-status=running]").first.wait_for()
    _save(dark, "page-slider-dark")
    dark.goto(f"{platform.address}/executions/{finished}/events?at=40")
    dark.locator(".event").first.wait_for()
    _save(dark, "page-events-dark")

    phone = _page(browser, PHONE)
    phone.goto(f"{platform.address}/executions/{finished}")
    phone.locator("[data-status=succeeded]").first.wait_for()
    _save(phone, "page-phone")


def _insight(page: Page, platform: Platform, finished: str, quick: str) -> None:
    """Where time and resources went, what would have been, what another run was, what needs looking at."""
    page.goto(f"{platform.address}/executions/{finished}/resources?at=40")
    page.locator(".moment-line").first.wait_for(state="attached")
    _save(page, "page-resources")
    page.goto(f"{platform.address}/executions/{finished}/bottlenecks")
    page.get_by_role("heading", name="What would have saved time").wait_for()
    _save(page, "page-bottlenecks")
    page.goto(f"{platform.address}/executions/{finished}/what-if")
    page.get_by_label("Times as long").fill("corn=0.25")
    page.get_by_label("Most tasks at once").fill("2")
    page.get_by_role("button", name="Simulate").click()
    page.locator(".verdict").wait_for()
    _save(page, "page-what-if")
    other = platform.submit(quick.replace("seconds: 1.6", "seconds: 2.4"))
    late = platform.submit(LATE)
    platform.over(other)
    page.goto(f"{platform.address}/executions/{finished}/compare?with={other}")
    page.locator(".pairs .line").first.wait_for()
    _save(page, "page-compare")
    page.goto(f"{platform.address}/alerts")
    page.locator(".alert").first.wait_for()
    _save(page, "page-alerts")
    platform.http.post(f"/executions/{late}/cancel", json={}).raise_for_status()


def _kept_from(browser: Browser, directory: Path) -> None:
    """Take what cannot be pressed: by a viewer, and of what is archived."""
    tokens = {"admin": "a-token-for-admins", "viewer": "a-token-for-viewers"}
    entries = [{"name": role, "role": role, "sha256": digest_of(token)} for role, token in tokens.items()]
    (directory / "access.yaml").write_text(json.dumps({"tokens": entries}))
    with platform_at(directory, "--access", "access.yaml", token=tokens["admin"], host="farm") as platform:
        page = _page(browser, WIDE)
        page.add_init_script(f"sessionStorage.setItem('talka-token', '{tokens['viewer']}')")
        asking = platform.submit(ASKING)
        platform.until(asking, lambda each: each["waiting"] == ["ask"])
        page.goto(f"{platform.address}/executions/{asking}?task=ask")
        page.get_by_role("heading", name="Asks Ada").wait_for()
        _save(page, "page-viewer")
        finished = platform.submit((DOCS / "examples" / "quickstart.yaml").read_text(encoding="utf-8"))
        platform.over(finished)
        argv = [sys.executable, "-m", "talka", "archive", finished, "--to", "kept", "--data-dir", "up"]
        subprocess.run(argv, cwd=directory, check=True, timeout=60)  # noqa: S603  (all of it is ours)
        page = _page(browser, WIDE)
        page.add_init_script(f"sessionStorage.setItem('talka-token', '{tokens['admin']}')")
        page.goto(f"{platform.address}/executions/{finished}?task=soil")
        page.locator("[data-status=succeeded]").first.wait_for()
        page.get_by_role("button", name="Restart from here").wait_for()
        _save(page, "page-archived")


def _page(browser: Browser, viewport: Mapping[str, int], **options: Any) -> Page:
    given: Any = {"viewport": viewport, **options}
    return browser.new_context(reduced_motion="reduce", **given).new_page()


def _save(page: Page, name: str) -> None:
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
