"""What has left for an archive over HTTP: shown from its file as it was, and refused in words without it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS, archivist, over, platform, waits
from tests.integration.http_api import PREFIX, messages

from talka import Orchestrator, Task, WorkflowBuilder
from talka_protocols.subjects import Names
from talka_services.archives import kept
from talka_services.archives.reading import opened
from talka_services.exports import Archive, import_execution
from talka_services.gateway import GatewayOptions, serving

LARGE = 80_000
"""More than is kept in the log itself, in bytes."""


@asynccontextmanager
async def gateway(talka: Orchestrator) -> AsyncGenerator[httpx.AsyncClient]:
    """Serve a platform over HTTP."""
    async with (
        serving(talka, GatewayOptions(port=0)) as address,
        httpx.AsyncClient(base_url=address + PREFIX, timeout=20) as http,
    ):
        yield http


def files(place: Path) -> list[Path]:
    """Return what lies in a directory."""
    return [*place.iterdir()]


async def asked(http: httpx.AsyncClient, path: str, status: int = 200) -> Any:
    """Return what is at a path."""
    answer = await http.get(path)
    assert answer.status_code == status, (path, answer.text)
    return answer.json()


async def told(http: httpx.AsyncClient, execution_id: str) -> dict[str, Any]:
    """Return all that the page asks of an execution which is over."""
    one = f"/executions/{execution_id}"
    paths = ("events", "plan/events", "steps", "state", "state?at=5", "workflow", "results", "tasks", "usage")
    found = {path: await asked(http, f"{one}/{path}") for path in (*paths, "requests", "tasks/t0")}
    found["explanation"] = (await asked(http, f"{one}/tasks/t0/explanation"))["causes"][0]["kind"]
    found["bottlenecks"] = (await asked(http, f"{one}/bottlenecks?simulate=false"))["segments"]
    found["diff"] = await asked(http, f"{one}/diff/{execution_id}")
    found["verified"] = (await asked(http, f"{one}/verification"))["is_verified"]
    simulated = await http.post(f"{one}/simulate", json={"max_parallel": 1})
    found["simulated"] = simulated.json()["recorded"]
    stream = (await http.get(f"{one}/stream")).text
    found["stream"] = [message for message in messages(stream) if message[1] != "over"]
    return found


async def test_it_is_read_in_its_file(
    nats_server: NatsServer, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at it answers what it answered before; a large result comes from the file, too.

    The file is opened once for all of them. The worker has left meanwhile, and its pool's log says so.
    """
    openings: list[str] = []

    def counted(place: str, sha256: str) -> object:
        openings.append(place)
        return opened(place, sha256)

    monkeypatch.setattr(kept, "opened", counted)
    large = Task("t0", "sleep", payload={"seconds": 0, "result": "x" * LARGE})
    workflow = WorkflowBuilder("large").add_task(large).build()
    async with platform(nats_server, names) as talka, gateway(talka) as http:
        execution_id = await talka.submit_workflow(workflow)
        await over(talka, execution_id)
        before = await told(http, execution_id)
        result = await asked(http, f"/executions/{execution_id}/tasks/t0/result")
        assert (await asked(http, f"/executions/{execution_id}"))["archived"] is None
        await talka.node.workers[0].stop()
        async with aclosing(talka.histories.follow_pool("default")) as states:
            async for pool in states:
                if not pool.workers:
                    break
        assert (await archivist(talka, tmp_path).run(LATER_MS, [execution_id])).archived
        assert await told(http, execution_id) == before
        assert await asked(http, f"/executions/{execution_id}/tasks/t0/result") == result
        assert len(openings) == 1
        document = await asked(http, f"/executions/{execution_id}")
        assert document["archived"].startswith("file://")
        (listed,) = (await asked(http, "/executions"))["executions"]
        assert listed["archived"] == document["archived"]
        refused = await http.post(f"/executions/{execution_id}/restart", json={})
        assert refused.json()["code"] == "archived"


async def test_without_its_file_it_is_said(nats_server: NatsServer, names: Names, tmp_path: Path) -> None:
    """Where it lies, why that does not do, and what to do: after that it is there again."""
    async with platform(nats_server, names) as talka, gateway(talka) as http:
        execution_id = await talka.submit_workflow(waits("gone"))
        await over(talka, execution_id)
        (moved,) = (await archivist(talka, tmp_path).run(LATER_MS, [execution_id])).archived
        (file,) = files(tmp_path)
        away = file.rename(tmp_path / "away.sqlite")
        one = f"/executions/{execution_id}"
        assert (await asked(http, one))["status"] == "succeeded"
        for path in ("stream", "events", "tasks/t0", "state?at=3"):
            problem = await asked(http, f"{one}/{path}", 409)
            assert problem["code"] == "archived", path
            assert moved.place in problem["hint"]
            assert "talka import" in problem["hint"]
        ports = talka.node.ports
        with Archive(away) as archive:
            await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
        assert (await asked(http, one))["archived"] is None
        assert (await asked(http, f"{one}/tasks/t0"))["task"]["status"] == "succeeded"
