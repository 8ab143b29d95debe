"""Every operation of the gateway, asked by those who may not."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
from tests.conftest import NatsServer

from talka_services.client import connect
from talka_services.gateway import GatewayOptions, serving
from talka_services.service import Node

ROLES = ("viewer", "operator", "admin")


def _access(place: Path) -> Path:
    """Write an access file in which the token of each role is the role's name."""
    tokens = [
        {"name": role, "role": role, "sha256": hashlib.sha256(role.encode()).hexdigest()} for role in ROLES
    ]
    path = place / "access.json"
    path.write_text(json.dumps({"tokens": tokens, "rate": 0}))
    return path


async def test_each_operation_takes_the_role_that_it_names(nats_server: NatsServer, tmp_path: Path) -> None:
    """Without a token it answers 401, and with one of a lower role 403, whatever is asked: streams, too."""
    await (await Node.open(nats_server.url, namespace="roles")).close()
    options = GatewayOptions(port=0, access=_access(tmp_path))
    async with (
        await connect(nats_server.url, namespace="roles") as client,
        serving(client, options) as address,
        httpx.AsyncClient(base_url=address, timeout=30) as http,
    ):

        async def asked(method: str, path: str, token: str = "") -> tuple[int, Any]:
            shown = {"authorization": f"Bearer {token}"} if token else {}
            answer = await http.request(method, path, headers=shown)
            return answer.status_code, answer.json().get("code")

        document = (await http.get("/api/v1/openapi.json")).json()
        seen = dict.fromkeys(ROLES, 0)
        for pattern, operations in document["paths"].items():
            path = re.sub(r"[{}]", "", pattern)
            for method, operation in operations.items():
                (needs,) = operation["security"][-1]["token"]
                seen[needs] += 1
                assert await asked(method, path) == (401, "unauthorized"), (method, pattern)
                assert await asked(method, path, "nobody") == (401, "unauthorized"), (method, pattern)
                for lower in ROLES[: ROLES.index(needs)]:
                    assert await asked(method, path, lower) == (403, "forbidden_role"), (method, pattern)
        assert all(seen.values()), seen
        assert await asked("GET", "/metrics") == (401, "unauthorized")
