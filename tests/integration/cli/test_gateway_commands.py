"""`talka up` says where its gateway is; `talka service gateway` is one of its own, beside or without it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import httpx
import psutil
import pytest
from tests.integration.cli.conftest import up
from tests.integration.cli.shell import Shell, wait_for

from talka_services.cli.command import Target
from talka_services.cli.serving import GatewayFlags

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
def served(shell: Shell) -> Iterator[dict[str, Any]]:
    """`talka up` with HTTP, until the test is over."""
    with up(shell) as ready:
        yield ready


def test_a_platform_prints_its_address_and_a_second_gateway_serves_it_too(
    shell: Shell, served: dict[str, Any]
) -> None:
    """Both show the same executions; the second asks for its token, and ends when it is told to."""
    (shell.directory / "token").write_text(TOKEN)
    words = ("--data-dir", "up", "--port", "0", "--token-file", "token", "--json")
    process = shell.start("service", "gateway", *words)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert (ready["ready"], ready["namespace"]) == ("gateway", "default")
    name = shell.json("run", "good.yaml", "--data-dir", "up")["execution_id"]
    path = f"/api/v1/executions/{name}"
    own = httpx.get(served["http"] + path).json()
    assert own["status"] == "succeeded"
    status = shell.json("status", name, "--data-dir", "up")
    assert {key: status[key] for key in own if key in status} == {
        key: value for key, value in own.items() if key in status
    }
    results = httpx.get(f"{served['http']}{path}/results").json()["tasks"]
    assert {task: {k: v for k, v in each.items() if k != "task_id"} for task, each in results.items()} == (
        status["tasks"]
    )
    assert httpx.get(ready["http"] + path).status_code == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(ready["http"] + path, headers=bearer).json() == own
    port = ready["http"].rpartition(":")[2]
    taken = shell.json("service", "gateway", "--data-dir", "up", "--port", port, code=2)
    assert taken["error"]["code"] == "address"
    assert wait_for(process, signal.SIGTERM) == 0


def test_tokens_have_roles_and_requests_the_names_of_their_tokens(
    shell: Shell, platform: dict[str, Any]
) -> None:
    """A viewer looks and may not start anything; what an operator starts is recorded under its name."""
    made = {role: shell.json("token", f"{role}-1", "--role", role) for role in ("viewer", "operator")}
    access = {"tokens": [each["entry"] for each in made.values()], "rate": 0}
    (shell.directory / "access.json").write_text(json.dumps(access))
    words = ("--data-dir", "up", "--port", "0", "--access", "access.json", "--json")
    process = shell.start("service", "gateway", *words)
    assert process.stdout is not None
    api = json.loads(process.stdout.readline())["http"] + "/api/v1"
    viewer, operator = ({"Authorization": f"Bearer {each['token']}"} for each in made.values())
    assert httpx.get(f"{api}/executions").status_code == 401
    assert httpx.get(f"{api}/me", headers=viewer).json()["role"] == "viewer"
    assert httpx.get(f"{api}/executions", headers=viewer).status_code == 200
    assert httpx.get(f"{api}/../../metrics", headers=viewer).status_code == 200
    work = {"talka": 1, "name": "w", "tasks": [{"id": "a", "agent_type": "sleep", "payload": {"seconds": 0}}]}
    refused = httpx.post(f"{api}/executions", json=work, headers=viewer)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden_role")
    name = httpx.post(f"{api}/executions", json=work, headers=operator).json()["execution_id"]
    removal = httpx.delete(f"{api}/schedules/nothing", headers=operator)
    assert (removal.status_code, removal.json()["code"]) == (403, "forbidden_role")
    (asked,) = shell.json("audit", "--who", name, "--data-dir", "up")["requests"]
    assert asked["asked_by"] == "token:operator-1"
    assert wait_for(process, signal.SIGTERM) == 0
    assert "token: " in shell.run("token", "ada", "--role", "admin")
    assert shell.json("token", "no name", code=2)["error"]
    (shell.directory / "access.json").write_text("tokens: [")
    refused_file = shell.json("service", "gateway", "--data-dir", "up", "--access", "access.json", code=2)
    assert "access.json" in refused_file["error"]["message"]


def test_another_port_is_taken_where_the_usual_one_is_in_use_and_none_without_http(shell: Shell) -> None:
    """Also with somebody who follows the list, who is sent off when the platform stops."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        refused = shell.json("up", "--http-port", taken, "--data-dir", "http", code=2)
        assert refused["error"]["code"] == "address"
    process = shell.start("up", "--data-dir", "http")
    assert process.stderr is not None
    said = process.stderr.readline().decode()
    found = re.search(r"HTTP at (http://127\.0\.0\.1:\d+)", said)
    assert found, said
    with httpx.stream("GET", f"{found[1]}/api/v1/stream") as response:
        lines = response.iter_lines()
        assert next(lines) == ": heartbeat"
        assert wait_for(process, signal.SIGTERM) == 0
        assert not [line for line in lines if line]
    process = shell.start("up", "--data-dir", "http", "--no-http", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["http"] is None
    assert wait_for(process, signal.SIGTERM) == 0


def test_a_gateway_that_is_killed_is_started_again_at_the_same_address(shell: Shell) -> None:
    """It is a process of its own, so the work goes on meanwhile, and who asks waits for the next one."""
    process = shell.start("up", "--data-dir", "killed", "--http-port", "0", "--json")
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    gateways = [each for each in psutil.Process(ready["pid"]).children() if "gateway" in each.cmdline()]
    (first,) = gateways
    first.kill()
    first.wait(10)
    listed = httpx.get(f"{ready['http']}/api/v1/executions", timeout=30.0)
    assert listed.status_code == 200
    (second,) = (each for each in psutil.Process(ready["pid"]).children() if "gateway" in each.cmdline())
    assert second.pid != first.pid
    assert shell.json("run", "good.yaml", "--data-dir", "killed")["status"] == "succeeded"
    process.kill()
    process.wait()
    second.wait(30)


def test_a_gateway_that_cannot_start_is_said(shell: Shell) -> None:
    """The platform does not stay up without what it was asked for."""
    with mock.patch("talka_services.cli.serving.GatewayFlags.told", _told_wrongly):
        refused = shell.json("up", "--data-dir", "wrong", "--http-port", "0", code=1)
    assert refused["error"]["code"] == "gateway_ended"
    assert "exit code 2" in refused["error"]["message"]
    assert "missing.json" in refused["error"]["message"]


def _told_wrongly(_flags: GatewayFlags, target: Target, descriptor: int) -> tuple[list[str], dict[str, str]]:
    where = ["--data-dir", str(target.data_dir), "--listen-fd", str(descriptor), "--json"]
    return ["service", "gateway", *where, "--access", "missing.json"], dict(os.environ)
