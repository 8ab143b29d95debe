"""What a service says of its health: alive at once, ready once it works and its server answers."""

from __future__ import annotations

import httpx
import pytest
from tests.conftest import NatsServer

from talka_services.gateway.health import serving_health
from talka_services.gateway.listening import AddressInUseError
from talka_services.jetstream.connection import Connection, connect

HOST = "127.0.0.1"


async def test_a_service_is_ready_only_while_it_works_and_its_server_answers(
    connection: Connection, nats_server: NatsServer
) -> None:
    """503 with the reason before it has begun, while it is not fit, and when its connection has gone."""
    is_fit = True
    async with (
        serving_health(HOST, 0) as readiness,
        httpx.AsyncClient(base_url=readiness.address or "") as ask,
    ):
        assert (await ask.get("/healthz")).json()["status"] == "alive"
        early = await ask.get("/readyz")
        assert (early.status_code, early.json()["code"]) == (503, "not_ready")
        readiness.begin(connection, lambda: is_fit)
        assert (await ask.get("/readyz")).json() == {
            "status": "ready",
            "namespace": connection.names.namespace,
        }
        is_fit = False
        assert (await ask.get("/readyz")).status_code == 503
        is_fit = True
        gone = await connect(nats_server.url, "test", connection.names)
        await gone.close()
        readiness.begin(gone)
        refused = await ask.get("/readyz")
        assert (refused.status_code, refused.json()["code"]) == (503, "server_unavailable")
        assert (await ask.get("/healthz")).status_code == 200
        assert (await ask.get("/metrics")).status_code == 404


async def test_an_address_that_is_taken_is_refused() -> None:
    async with serving_health(HOST, 0) as readiness:
        port = int((readiness.address or "").rpartition(":")[2])
        with pytest.raises(AddressInUseError, match=f"{HOST}:{port}"):
            async with serving_health(HOST, port):
                pytest.fail("two listen at one address")
