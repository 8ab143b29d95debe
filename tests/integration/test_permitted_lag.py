"""Whoever is late asks the server before it begins anew, whatever it may do otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.permitted import PermittedServer

from talka_protocols.permissions import Service
from talka_services.jetstream.consumer import has_caught_up

USERS = ["worker-w1" if service is Service.WORKER else service.value for service in Service]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PermittedServer]:
    """A server with a user for each service."""
    server = PermittedServer(tmp_path_factory.mktemp("permitted"), ("one",))
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("user", USERS)
async def test_everybody_may_ask_whether_it_is_late(server: PermittedServer, user: str) -> None:
    """The server answers each user, and refuses nothing."""
    server.violations()
    connection = await server.connect("one", user)
    try:
        assert await has_caught_up(connection)
    finally:
        await connection.close()
    assert server.violations() == []
