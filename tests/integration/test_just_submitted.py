"""What was put on file is there for whoever asks next, also before any service has taken it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from tests.conftest import NatsServer

from talka import Orchestrator
from talka_protocols.messages import Recipient
from talka_protocols.subjects import Names
from talka_services.gateway import GatewayOptions, calls, executions, serving
from talka_services.service import Node

API = "/api/v1/executions"
TWO = """\
talka: 1
name: two
tasks:
  - {id: a, agent_type: sleep, payload: {seconds: 0}}
  - {id: b, agent_type: sleep, payload: {seconds: 0}}
"""
PATIENCE_S = 20


@pytest.fixture
async def gateways(
    nats_server: NatsServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Clients of two gateways of one namespace, in which no service runs."""
    for module in (calls, executions):
        monkeypatch.setattr(module, "ANSWER_S", 0.2)
    nodes = [await Node.open(nats_server.url, namespace=names.namespace) for _ in range(2)]
    async with (
        Orchestrator(nodes[0]) as first,
        Orchestrator(nodes[1]) as second,
        serving(first, GatewayOptions(port=0)) as one,
        serving(second, GatewayOptions(port=0)) as other,
        httpx.AsyncClient(base_url=one, timeout=PATIENCE_S) as ask_one,
        httpx.AsyncClient(base_url=other, timeout=PATIENCE_S) as ask_other,
    ):
        yield [ask_one, ask_other]


async def submitted(gateway: httpx.AsyncClient) -> str:
    """Return the id of an execution that nobody takes up."""
    answer = await gateway.post(API, content=TWO, headers={"content-type": "application/yaml"})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    execution_id: str = answer.json()["execution_id"]
    return execution_id


async def test_a_submission_is_there_before_a_service_takes_it_up(
    nats_server: NatsServer, names: Names, gateways: list[httpx.AsyncClient]
) -> None:
    """Its own gateway knows it at once, every other one as soon as a planner has recorded it."""
    one, other = gateways
    execution_id = await submitted(one)
    found = await one.get(f"{API}/{execution_id}")
    assert (found.status_code, found.json()["status"], found.json()["version"]) == (200, "accepted", 0)
    assert (await one.get(f"{API}/{execution_id}", params={"wait": 0.1})).json() == found.json()
    assert (await one.get(f"{API}/nothing")).status_code == 404
    assert (await other.get(f"{API}/{execution_id}")).status_code == 404
    async with await Node.open(nats_server.url, namespace=names.namespace) as node:
        node.own([Recipient.PLANNER])
        async with asyncio.timeout(PATIENCE_S):
            while (await other.get(f"{API}/{execution_id}")).status_code == 404:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for gateway in gateways:
            known = (await gateway.get(f"{API}/{execution_id}")).json()
            assert (known["status"], known["name"], known["total"]) == ("accepted", "two", 2)


async def test_a_submission_is_followed_before_a_service_takes_it_up(
    nats_server: NatsServer, names: Names, gateways: list[httpx.AsyncClient]
) -> None:
    """Its events come as soon as there are any."""
    one, _ = gateways
    execution_id = await submitted(one)
    async with one.stream("GET", f"{API}/{execution_id}/stream") as live:
        assert live.status_code == 200
        async with await Node.open(nats_server.url, namespace=names.namespace) as node:
            node.own()
            async with asyncio.timeout(PATIENCE_S):
                async for line in live.aiter_lines():
                    if line == "event: ExecutionAccepted":
                        break
