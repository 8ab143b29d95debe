"""A platform with its page, and a browser to look at it: for the browser tests and the screenshots."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_S = 30.0
NAMED = """
import runpy, socket, sys
name = sys.argv.pop(1)
socket.gethostname = lambda: name
runpy.run_module("talka", run_name="__main__", alter_sys=True)
"""
"""Runs `talka` on a machine that is called otherwise than it is."""


class Platform:
    """One `talka up`, asked over HTTP."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address = address
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=f"{address}/api/v1", timeout=30.0, headers=headers)

    def submit(self, workflow: str | dict[str, Any]) -> str:
        """Start a workflow, and return its execution's id."""
        body = workflow if isinstance(workflow, str) else json.dumps(workflow)
        response = self.http.post(
            "/executions", content=body, headers={"content-type": "application/yaml"}
        ).raise_for_status()
        execution_id: str = response.json()["execution_id"]
        return execution_id

    def get(self, execution_id: str) -> dict[str, Any]:
        """Return where an execution stands."""
        found: dict[str, Any] = self.http.get(f"/executions/{execution_id}").raise_for_status().json()
        return found

    def until(self, execution_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return where an execution stands as soon as it stands so."""
        end = time.monotonic() + PATIENCE_S
        while not is_so(found := self.get(execution_id)):
            assert time.monotonic() < end, found
            time.sleep(0.05)
        return found

    def over(self, execution_id: str) -> dict[str, Any]:
        """Return how an execution ended."""
        return self.until(execution_id, lambda each: each["finished_at"] is not None)


@contextmanager
def platform_at(directory: Path, *options: str, token: str = "", host: str = "") -> Generator[Platform]:
    """Run `talka up` in a directory.

    ``token`` is what its gateway asks for, and ``host`` what its workers are called after,
    in place of this machine.
    """
    argv = [sys.executable, *(("-c", NAMED, host) if host else ("-m", "talka")), "up", "--json"]
    argv += ["--data-dir", "up", "--http-port", "0"]
    argv += ["--durability", "process", *options]
    with subprocess.Popen(argv, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        platform = Platform(json.loads(process.stdout.readline())["http"], token)
        try:
            yield platform
        finally:
            platform.http.close()
            process.terminate()


@contextmanager
def chromium() -> Generator[Browser]:
    """Run the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
