"""The HTTP executor, against a real server on this machine."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from talka_core.outputs import OUTPUTS
from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.http import HttpExecutor
from talka_services.executors.registry import ExecutorSettings

Make = Callable[..., Attempt]
LARGE = 300_000
DEPTH = 5_000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(1)
        if path == "/moved":
            self._answer(302, b"", "text/plain", location="/text")
        elif path == "/text":
            self._answer(200, "grüße".encode(), "text/plain; charset=utf-8")
        elif path == "/large":
            self._answer(200, b"x" * LARGE, "text/plain")
        elif path == "/liar":
            self._answer(200, b"not json", "application/json")
        elif path == "/deep":
            self._answer(200, b"[" * DEPTH, "application/json")
        elif path == "/missing":
            self._answer(404, b"nothing here", "text/plain")
        else:
            self._echo(b"")

    def do_POST(self) -> None:
        self._echo(self.rfile.read(int(self.headers["content-length"])))

    def _echo(self, body: bytes) -> None:
        seen = {
            "method": self.command,
            "path": self.path,
            "body": body.decode(),
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        self._answer(200, json.dumps(seen).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Serve on a free port and return the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture
async def http() -> AsyncIterator[HttpExecutor]:
    """Offer the executor."""
    executor = HttpExecutor(ExecutorSettings())
    yield executor
    await executor.close()


async def test_json_comes_back_parsed(http: HttpExecutor, attempt: Make, server: str) -> None:
    """A JSON answer is there as text and as data, in the fields that are declared."""
    result = await http.execute(attempt(url=f"{server}/echo?a=1", params={"b": 2}, headers={"X-Own": "y"}))
    assert result["json"]["path"] == "/echo?a=1&b=2"
    assert result["json"]["headers"]["x-own"] == "y"
    assert json.loads(result["body"]) == result["json"]
    assert result["status"] == 200
    assert frozenset(result) == OUTPUTS["http"]


@pytest.mark.parametrize(
    ("payload", "body"), [({"json": {"n": 1}}, '{"n":1}'), ({"body": "as it is"}, "as it is")]
)
async def test_bodies_are_sent(
    http: HttpExecutor, attempt: Make, server: str, payload: dict[str, Any], body: str
) -> None:
    """JSON and plain bodies arrive, with the idempotency key of the task and the attempt's fence."""
    result = await http.execute(attempt(url=server, method="post", **payload))
    assert result["json"]["body"] == body
    headers = result["json"]["headers"]
    assert (headers["idempotency-key"], headers["talka-fence"]) == ("e/t", "7")


async def test_a_key_of_the_payload_is_kept(http: HttpExecutor, attempt: Make, server: str) -> None:
    """The payload's own idempotency key is not replaced, and a GET carries neither key nor fence."""
    own = await http.execute(
        attempt(url=server, method="POST", body="x", headers={"idempotency-key": "mine"})
    )
    read = await http.execute(attempt(url=server))
    assert own["json"]["headers"]["idempotency-key"] == "mine"
    assert {"idempotency-key", "talka-fence"}.isdisjoint(read["json"]["headers"])


async def test_text_redirects_and_false_json(http: HttpExecutor, attempt: Make, server: str) -> None:
    """Text is decoded, redirects are followed, and what only claims to be JSON stays text."""
    moved = await http.execute(attempt(url=f"{server}/moved"))
    liar = await http.execute(attempt(url=f"{server}/liar"))
    assert (moved["status"], moved["body"]) == (200, "grüße")
    assert "json" not in moved
    assert liar["body"] == "not json"
    assert "json" not in liar


async def test_what_is_nested_too_deep_stays_text(http: HttpExecutor, attempt: Make, server: str) -> None:
    """An answer that nobody can read as JSON is an answer all the same."""
    deep = await http.execute(attempt(url=f"{server}/deep"))
    assert (deep["status"], deep["body"]) == (200, "[" * DEPTH)
    assert "json" not in deep


async def test_a_large_body_is_bounded(http: HttpExecutor, attempt: Make, server: str) -> None:
    """The text that is kept is bounded and says so."""
    result = await http.execute(attempt(url=f"{server}/large"))
    assert result["truncated"]
    assert len(result["body"]) < 70_000
    assert "bytes dropped" in result["body"]


async def test_unexpected_statuses_fail(http: HttpExecutor, attempt: Make, server: str) -> None:
    """404 fails unless it is expected; 200 fails if only 404 is."""
    with pytest.raises(TaskFailedError, match=r"answered with 404.*nothing here"):
        await http.execute(attempt(url=f"{server}/missing"))
    result = await http.execute(attempt(url=f"{server}/missing", expected_status=[404]))
    assert result["status"] == 404
    with pytest.raises(TaskFailedError, match=r"one of \[404\]"):
        await http.execute(attempt(url=f"{server}/text", expected_status=[404]))


async def test_no_server_is_named(http: HttpExecutor, attempt: Make) -> None:
    """A refused connection fails naming the address."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TaskFailedError, match=f"GET http://127.0.0.1:{port} failed"):
        await http.execute(attempt(url=f"http://127.0.0.1:{port}"))


async def test_a_slow_server_is_given_up(http: HttpExecutor, attempt: Make, server: str) -> None:
    """timeout_s bounds the whole exchange."""
    with pytest.raises(TaskFailedError, match=r"not answered within 0\.05 s"):
        await http.execute(attempt(url=f"{server}/slow", timeout_s=0.05))


@pytest.mark.parametrize(
    "payload",
    [{}, {"url": "nonsense"}, {"url": "ftp://x"}, {"url": "http://x", "json": 1, "body": "b"}],
    ids=["no url", "no scheme", "other scheme", "two bodies"],
)
async def test_wrong_requests_are_explained(
    http: HttpExecutor, attempt: Make, payload: dict[str, Any]
) -> None:
    """A request that cannot be sent is the task's failure."""
    with pytest.raises(TaskFailedError):
        await http.execute(attempt(**payload))
