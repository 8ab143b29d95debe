"""How wrong a forecast was is measured when the execution that it was about is over."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from tests.conftest import NatsServer
from tests.integration.archiving import over, platform, waits

from talka_core.metering import Measure, Reading, Told, eta_error
from talka_protocols.subjects import Names
from talka_services.gateway import GatewayOptions, serving

ENDED = 'talka_execution_ended_total{status="succeeded"} 2.0'


@pytest.mark.parametrize(
    ("status", "at", "found"),
    [
        ("succeeded", 12_000, [Reading(Measure.ETA_ERROR, ("yes",), 2.0)]),
        ("succeeded", 9_000, [Reading(Measure.ETA_ERROR, ("yes",), 1.0)]),
        ("partial", 15_001, [Reading(Measure.ETA_ERROR, ("no",), 5.001)]),
        ("cancelled", 12_000, []),
        ("failed", 12_000, []),
    ],
)
def test_only_a_regular_end_says_how_wrong_it_was(status: str, at: int, found: list[Reading]) -> None:
    """The distance is to the middle; what held is the instant for nine of ten cases."""
    ended = Reading(Measure.EXECUTION_ENDED, (status,))
    assert list(eta_error(Told(10_000, 15_000), ended, at)) == found


async def test_what_was_told_first_is_compared_with_the_end(nats_server: NatsServer, names: Names) -> None:
    """An execution of which nothing was told counts for nothing; of several tellings the first does."""
    async with (
        asyncio.timeout(30),
        platform(nats_server, names) as talka,
        serving(talka, GatewayOptions(port=0)) as address,
        httpx.AsyncClient(base_url=address, timeout=20) as http,
    ):
        asked = await talka.submit_workflow(waits("asked", 0.5))
        await talka.submit_workflow(waits("unasked"))
        await talka.histories.until_begun(asked)
        told = [(await http.get(f"/api/v1/executions/{asked}/eta")).raise_for_status() for _ in range(2)]
        assert all(answer.json()["eta"]["p90"] for answer in told)
        await over(talka, asked)
        shown = ""
        while ENDED not in shown:
            await asyncio.sleep(0.02)
            shown = (await http.get("/metrics")).text
        counts = [
            float(line.split()[-1])
            for line in shown.splitlines()
            if line.startswith("talka_eta_error_seconds_count")
        ]
        assert counts == [1.0]
