"""Every history that a test makes is verified when it ends, as ``talka replay --verify`` does it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from talka_chaos.verifier import Verifier, is_data_directory, stores_below


@pytest.fixture(autouse=True)
def _histories_hold(
    request: pytest.FixtureRequest, verifier: Verifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fail a test after which some history does not hold; one that tampers with a history fails if all do."""
    # What is asked for here is still there when the test is over.
    servers = [
        request.getfixturevalue(name)
        for name in ("nats_server", "own_server")
        if name in request.fixturenames
    ]
    if "connection" in request.fixturenames:
        request.getfixturevalue("connection")
    yield
    found: list[str] = []
    for server in servers:
        if not server.is_running:
            server.start()
        found += asyncio.run(verifier.server(server.url))
    found += asyncio.run(_directories(verifier, tmp_path_factory.getbasetemp()))
    node = cast("pytest.Item", request.node)  # pyright: ignore[reportUnknownMemberType]
    is_tampered = node.get_closest_marker("tampers") is not None
    assert bool(found) is is_tampered, "\n".join(found) or "nobody noticed that a history was tampered with"


async def _directories(verifier: Verifier, root: Path) -> list[str]:
    found: list[str] = []
    for path in stores_below(root):
        if is_data_directory(path):
            found += await verifier.data_directory(path)
    return found
