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
def checkout(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean checkout whose image is built, once for all."""
    checkout = tmp_path_factory.mktemp("checkout")
    archive = checkout / "talka.tar"
    subprocess.run(["git", "archive", "-o", str(archive), "HEAD"], cwd=ROOT, check=True)
    subprocess.run(["tar", "-xf", archive.name], cwd=checkout, check=True)
    Stack(checkout).compose("build", "--quiet")
    return checkout


@pytest.fixture(scope="session")
def stack(checkout: Path) -> Iterator[Stack]:
    """The platform, up until the tests are over."""
    yield from up(Stack(checkout))


def up(stack: Stack) -> Iterator[Stack]:
    """Start all of a stack, and leave nothing of it behind."""
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "1", "--remove-orphans")
