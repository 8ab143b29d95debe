"""Every history that a documented command makes is verified, as ``talka replay --verify`` does it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from talka_chaos.verifier import Verifier, is_data_directory, stores_below


@pytest.fixture(autouse=True)
def _histories_hold(request: pytest.FixtureRequest, verifier: Verifier) -> Iterator[None]:
    """Fail a test after which some history does not hold."""
    root: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if root is not None:
        assert asyncio.run(_verified(verifier, root)) == []


async def _verified(verifier: Verifier, root: Path) -> list[str]:
    found: list[str] = []
    for path in stores_below(root):
        # A server that the page itself starts was killed with its shell.
        found += await (verifier.data_directory(path) if is_data_directory(path) else verifier.store(path))
    return found
