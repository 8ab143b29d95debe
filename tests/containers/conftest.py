"""The platform in containers, as ``deploy/compose.yaml`` says, from what is committed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers.stack import Stack

ROOT = Path(__file__).parents[2]


def _lacking() -> str | None:
    """Return why no container can be run here, or None if some can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for asked in (["info"], ["compose", "version"]):
        done = subprocess.run(["docker", *asked], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"`docker {' '.join(asked)}` fails: {done.stderr.strip()}"
    return None


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine; where CI is set there must be one."""
    reason = _lacking()
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"No container can be run: {reason}")
    pytest.skip(f"No container can be run: {reason}")


@pytest.fixture(scope="session")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The platform, built and up from a clean checkout, until the tests are over."""
    checkout = tmp_path_factory.mktemp("checkout")
    archive = checkout / "talka.tar"
    subprocess.run(["git", "archive", "-o", str(archive), "HEAD"], cwd=ROOT, check=True)
    subprocess.run(["tar", "-xf", archive.name], cwd=checkout, check=True)
    stack = Stack(checkout)
    try:
        stack.compose("build", "--quiet")
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "1", "--remove-orphans")
