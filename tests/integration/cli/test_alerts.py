"""Alerts on a real platform that is killed: raised once, told to a receiver, cleared, acknowledged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import Popen
from typing import Any

import pytest
from tests.integration.cli.shell import Shell, wait_for

SECRET = "a-secret-of-both"
PATIENCE_S = 30.0
WORK = """
talka: 1
name: waiting
tasks: [{id: rigged, agent_type: sleep, payload: {seconds: 0}, requires: {rig: here}}]
"""


class Receiver:
    """Takes webhooks; ``statuses`` are its next answers, then 204."""

    def __init__(self, statuses: list[int]) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        self.statuses = statuses

    def answer(self, headers: Any, body: bytes) -> int:
        """Take a webhook that is signed, and return the status for it."""
        name, sent_s = headers["webhook-id"], headers["webhook-timestamp"]
        signed = hmac.digest(SECRET.encode(), f"{name}.{sent_s}.".encode() + body, hashlib.sha256)
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"
        if self.statuses:
            self.refused.append(name)
            return self.statuses.pop(0)
        self.taken.append((name, json.loads(body)))
        return 204


@contextmanager
def _receiving(receiver: Receiver) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.answer(self.headers, body))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _up(shell: Shell, url: str) -> Popen[bytes]:
    words = ("up", "--json", "--data-dir", "alerts", "--http-port", "0")
    process = shell.start(*words, "--alert", "stuck_s=1", "--webhook", url)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["ready"] == "up"
    return process


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_an_alert_survives_a_kill_and_is_told_until_it_is_heard(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event for one alert, though the platform is killed while its receiver refuses."""
    (shell.directory / "waiting.yaml").write_text(WORK)
    monkeypatch.setitem(shell.environment, "TALKA_WEBHOOK_SECRET", SECRET)
    receiver = Receiver([500, 500])
    with _receiving(receiver) as url:
        process = _up(shell, url)
        name = shell.run("submit", "waiting.yaml", "--data-dir", "alerts").strip()
        _until(lambda: len(receiver.refused) == 1)
        process.kill()
        process.communicate()
        process = _up(shell, url)
        _until(lambda: len(receiver.taken) == 1)
        ((told, event),) = receiver.taken
        assert set(receiver.refused) == {told}
        assert (event["type"], event["data"]["execution_id"]) == ("talka.alert.raised", name)
        (alert,) = shell.json("alerts", "list", "--data-dir", "alerts")["alerts"]
        assert (alert["number"], alert["kind"], alert["status"]) == (1, "stuck", "open")
        seen = shell.json("alerts", "ack", "1", "--by", "Ada", "--data-dir", "alerts")
        assert (seen["status"], seen["acknowledged_by"]) == ("acknowledged", "Ada")
        assert shell.json("alerts", "ack", "7", "--data-dir", "alerts", code=2)["error"]["code"] == (
            "unknown_alert"
        )
        rig = shell.start("service", "worker", "--label", "rig=here", "--json", "--data-dir", "alerts")
        _until(lambda: len(receiver.taken) == 2)
        assert receiver.taken[1][1]["type"] == "talka.alert.cleared"
        listed = shell.json("alerts", "list", "--all", "--data-dir", "alerts")
        assert [each["status"] for each in listed["alerts"]] == ["cleared"]
        assert "no alerts" in shell.run("alerts", "list", "--data-dir", "alerts")
        assert wait_for(rig, signal.SIGTERM) == 0
        assert wait_for(process, signal.SIGTERM) == 0
    refused = shell.json("up", "--data-dir", "alerts", "--alert", "stuck=1", code=2)
    assert "--alert stuck is no limit" in refused["error"]["message"]
    refused = shell.json("up", "--data-dir", "alerts", "--webhook", "here", code=2)
    assert "address of the webhook" in refused["error"]["message"]
