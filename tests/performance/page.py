"""How fast the web page is: ``python -m tests.performance.page`` prints it; needs the system's Chromium.

An execution of 1,000 tasks and over 10,000 events is opened, and the slider stepped
through it, each time until the browser has painted. Then an execution is answered
by the outside while the page follows it, and the time from each event to its sight is taken.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page
from tests.browser.platforms import Platform, chromium, platform_at

TASKS, WIDTH = 1_000, 50
STEPS, VIEWS, UPDATES = 60, 5, 30
LARGE: dict[str, Any] = {
    "talka": 1,
    "name": "large",
    "max_parallel": 200,
    "tasks": [
        {
            "id": f"t{layer}x{index}",
            "agent_type": "sleep",
            "payload": {"seconds": 0, "result": "${loop.iteration}"},
            "loop": {"until": "result >= 1", "max_iterations": 3},
            "depends_on": [f"t{layer - 1}x{other % WIDTH}" for other in (index, index + 1)] if layer else [],
        }
        for layer in range(TASKS // WIDTH)
        for index in range(WIDTH)
    ],
}
WAITING: dict[str, Any] = {
    "talka": 1,
    "name": "waiting",
    "tasks": [
        {"id": f"w{number}", "agent_type": "signal", "payload": {"name": f"s{number}"}}
        for number in range(UPDATES)
    ],
}
FIRST_VIEW = """
() => {
  window.firstView = new Promise((resolve) => {
    const look = () => {
      if (document.querySelector('.node, .row, .line, .event')) {
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
      } else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}
"""
STEP = """
(version) => new Promise((resolve) => {
  const slider = document.querySelector('.slider input');
  const began = performance.now();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(slider, String(version));
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
})
"""
SEEN = """
() => {
  window.seen = {};
  const look = () => {
    for (const node of document.querySelectorAll('.node[data-status=succeeded]')) {
      window.seen[node.dataset.task] ??= Date.now();
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


def main() -> None:
    """Measure, and print what was found."""
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        options = ("--workers", "3", "--capacity", "cpu_cores=100")
        with platform_at(Path(directory), *options) as platform:
            large = platform.submit(LARGE)
            found = platform.over(large)
            _say(f"{found['total']:,} tasks, {found['version']:,} events")
            for name, path in (
                ("list", "/"),
                ("graph", f"/executions/{large}"),
                ("timeline", f"/executions/{large}/timeline"),
                ("events", f"/executions/{large}/events"),
            ):
                _report(
                    f"first view, {name}",
                    [_first_view(browser, platform.address + path) for _ in range(VIEWS)],
                )
            for tab in ("graph", "timeline", "events"):
                address = f"{platform.address}/executions/{large}/{tab}".removesuffix("/graph")
                firsts, others = _stepped(browser, address, found["version"])
                _report(f"first step, {tab}", firsts)
                _report(f"slider step, {tab}", others)
            _report("event to sight", _updates(browser, platform))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _report(what: str, ms: Sequence[float]) -> None:
    _say(f"{what:22} median {median(ms):7.1f} ms, worst of {len(ms)} {max(ms):7.1f} ms")


def _first_view(browser: Browser, address: str) -> float:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.add_init_script(f"({FIRST_VIEW})()")
    page.goto(address)
    took: float = page.evaluate("window.firstView")
    context.close()
    return took


def _opened(browser: Browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    page.goto(address)
    page.locator(".node, .line, .event").first.wait_for()
    return page


def _stepped(browser: Browser, address: str, last: int) -> tuple[list[float], list[float]]:
    """Step by one from places all over the log, forwards and backwards, and leap.

    The first step after the page was opened, from the last event to the first, is by
    itself, and taken of several pages.
    """
    firsts = [_steps(browser, address, [1])[0] for _ in range(VIEWS)]
    places = [1 + (last - 2) * step // STEPS for step in range(STEPS)]
    first, *others = _steps(browser, address, [v for place in places for v in (place, place + 1, place)])
    return [*firsts, first], others


def _steps(browser: Browser, address: str, versions: Sequence[int]) -> list[float]:
    page = _opened(browser, address)
    took: list[float] = [page.evaluate(STEP, version) for version in versions]
    page.context.close()
    return took


def _updates(browser: Browser, platform: Platform) -> list[float]:
    """Let one task after another end from outside, and take the time from its event to its sight."""
    execution_id = platform.submit(WAITING)
    platform.until(execution_id, lambda each: len(each["waiting"]) == UPDATES)
    page = _opened(browser, f"{platform.address}/executions/{execution_id}")
    page.evaluate(SEEN)
    for number in range(UPDATES):
        platform.http.post(
            f"/executions/{execution_id}/signals", json={"name": f"s{number}"}
        ).raise_for_status()
        page.locator(f".node[data-task=w{number}][data-status=succeeded]").wait_for()
    # It is in sight with the next frame, which may be after the locator has found it.
    page.wait_for_function(f"'w{UPDATES - 1}' in window.seen")
    seen: dict[str, float] = page.evaluate("window.seen")
    query = {"type": "TaskSucceeded"}
    events = platform.http.get(f"/executions/{execution_id}/events", params=query).json()["events"]
    page.context.close()
    return [seen[event["task_id"]] - 1000 * event["at"] for event in events]


if __name__ == "__main__":
    main()
