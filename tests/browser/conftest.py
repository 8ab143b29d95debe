"""One platform and one browser for all browser tests, and the executions that they look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from tests.browser.platforms import Platform, chromium, platform_at

AXE = Path(__file__).parents[2] / "page" / "node_modules" / "axe-core" / "axe.min.js"
FINISHED = """
talka: 1
name: finished
tasks:
  - {id: soil, name: Test the soil, agent_type: sleep, payload: {seconds: 0.1, result: loam}}
  - {id: corn, agent_type: sleep, payload: {seconds: 0.3}, depends_on: [soil],
     resources: {cpu_cores: 2, memory_mb: 64}}
  - {id: beans, agent_type: sleep, payload: {seconds: 0.1}, depends_on: [soil]}
  - {id: feast, agent_type: sleep, payload: {seconds: 0, result: "${soil}"}, depends_on: [corn, beans]}
"""
FAILED = """
talka: 1
name: failed
tasks:
  - {id: pump, agent_type: sleep, payload: {seconds: 0}}
  - {id: valve, agent_type: command, retries: 1, depends_on: [pump],
     payload: {argv: [sh, -c, "echo 'the valve is stuck' >&2; exit 3"]}}
  - {id: field, agent_type: sleep, payload: {seconds: 0}, depends_on: [valve]}
"""
RUNNING = """
talka: 1
name: running
tasks:
  - {id: dig, agent_type: sleep, payload: {seconds: 0}}
  - {id: slow, agent_type: sleep, payload: {seconds: 600}, estimated_seconds: 600, depends_on: [dig]}
  - {id: after, agent_type: sleep, payload: {seconds: 0}, depends_on: [slow]}
"""
ASKING = """
talka: 1
name: asking
tasks:
  - {id: look, agent_type: command, payload: {argv: [sh, -c, "echo the soil is wet; echo and cold >&2"]}}
  - {id: mail, agent_type: sleep, payload: {seconds: 0}, depends_on: [look], irreversible: true}
  - {id: ask, agent_type: approval, payload: {question: "Plant today?", assignees: [Ada]}, depends_on: [mail]}
  - {id: plant, agent_type: sleep, payload: {seconds: 0}, depends_on: [ask]}
"""
LAYERS, WIDTH = 20, 50
LARGE: dict[str, Any] = {
    "talka": 1,
    "name": "large",
    "max_parallel": 200,
    "tasks": [
        {
            "id": f"t{layer}x{index}",
            "agent_type": "sleep",
            "payload": {"seconds": 0},
            "depends_on": [f"t{layer - 1}x{other % WIDTH}" for other in (index, index + 1)] if layer else [],
        }
        for layer in range(LAYERS)
        for index in range(WIDTH)
    ],
}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with three workers."""
    with platform_at(
        tmp_path_factory.mktemp("page"), "--workers", "3", "--capacity", "cpu_cores=100"
    ) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as found:
        yield found


def _is_wrong(said: ConsoleMessage) -> bool:
    # The page asks when what it sees running will be over; what has just ended has no such time (409).
    is_too_late = "409" in said.text and said.location["url"].endswith("/eta")
    return said.type == "error" and not is_too_late


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page; a script that fails, or that the policy forbids, fails the test."""
    context = browser.new_context()
    expect.set_options(timeout=10_000)
    found = context.new_page()
    wrong: list[str] = []
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("console", lambda said: wrong.append(said.text) if _is_wrong(said) else None)
    yield found
    context.close()
    assert wrong == []


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page in one of the two colour schemes, with axe let in."""
    context = browser.new_context(color_scheme=request.param, bypass_csp=True)
    yield context.new_page()
    context.close()


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """Return what axe finds wrong with a page: the rule, and the elements that break it."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]


@pytest.fixture(scope="session")
def finished(platform: Platform) -> str:
    """An execution that succeeded."""
    return _over(platform, FINISHED, "succeeded")


@pytest.fixture(scope="session")
def failed(platform: Platform) -> str:
    """An execution that failed after a retry."""
    return _over(platform, FAILED, "failed")


@pytest.fixture(scope="session")
def large(platform: Platform) -> str:
    """An execution of 1,000 tasks that succeeded."""
    return _over(platform, LARGE, "succeeded")


@pytest.fixture
def running(platform: Platform) -> Iterator[str]:
    """An execution that runs for as long as the test."""
    execution_id = platform.submit(RUNNING)
    platform.until(execution_id, lambda each: each["running"] == ["slow"])
    yield execution_id
    platform.http.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()


@pytest.fixture
def asking(platform: Platform) -> Iterator[str]:
    """An execution that waits for an answer for as long as the test."""
    execution_id = platform.submit(ASKING)
    platform.until(execution_id, lambda each: each["waiting"] == ["ask"])
    yield execution_id
    platform.http.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()


def _over(platform: Platform, workflow: str | dict[str, Any], status: str) -> str:
    execution_id = platform.submit(workflow)
    assert platform.over(execution_id)["status"] == status
    return execution_id
