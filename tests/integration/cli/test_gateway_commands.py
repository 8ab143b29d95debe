"""`talka up` says where its gateway is; `talka service gateway` is one of its own, beside or without it."""

from __future__ import annotations

import json
import re
import signal
import socket
from typing import Any

import httpx
from tests.integration.cli.shell import Shell, wait_for

TOKEN = "a-token-that-nobody-guesses"


def test_a_platform_prints_its_address_and_a_second_gateway_serves_it_too(
    shell: Shell, platform: dict[str, Any]
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
    own = httpx.get(platform["http"] + path).json()
    assert own["status"] == "succeeded"
    status = shell.json("status", name, "--data-dir", "up")
    assert {key: status[key] for key in own if key in status} == {
        key: value for key, value in own.items() if key in status
    }
    results = httpx.get(f"{platform['http']}{path}/results").json()["tasks"]
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
