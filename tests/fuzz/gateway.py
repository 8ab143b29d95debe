# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
"""A gateway that is asked whatever its OpenAPI document allows, and a little that it does not.

Half of the requests are about executions that are there, so that they come further than "unknown".
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import httpx
from hypothesis import strategies as st
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from talka_services.gateway.operations import EVENT_STREAM
from talka_services.gateway.roles import Role
from talka_services.gateway.table import OPERATIONS, PREFIX

ENDLESS = frozenset({"stream_executions", "stream_alerts"})
"""They send until the reader leaves."""
STREAMS = frozenset(each.name for each in OPERATIONS if each.answers == EVENT_STREAM)
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
WORK = """{"talka": 1, "name": "known", "tasks": [
  {"id": "a", "agent_type": "sleep", "payload": {"seconds": 0}},
  {"id": "ask", "agent_type": "approval", "payload": {"question": "Go on?", "timeout_seconds": 0.01,
   "default": "approve"}, "depends_on": ["a"]}]}"""
PATIENCE_S = 30.0


TOKENS = {role: f"the token of one {role}" for role in Role}
"""Who may ask a gateway that does not let everybody in."""
STRANGERS = ("", "Bearer", "Bearer nobody's", "Basic YTpi", "Bearer a.b.c")
UNKNOWN, FORBIDDEN = 401, 403


def access_file(folder: Path) -> Path:
    """Write who may ask what, and as often as they like."""
    digest = {role: sha256(token.encode()).hexdigest() for role, token in TOKENS.items()}
    tokens = [{"name": str(role), "role": str(role), "sha256": digest[role]} for role in Role]
    path = folder / "access.json"
    path.write_text(json.dumps({"tokens": tokens, "rate": 0}))
    return path


@contextmanager
def platform(folder: Path, *options: str) -> Generator[str]:
    """Run a platform whose tasks may start nothing, for as long as the context lasts; yield its address."""
    argv = [sys.executable, "-m", "talka", "up", "--json", "--data-dir", "up", "--http-port", "0"]
    argv += ["--allow-command", "true", "--allow-module", "nothing", "--durability", "process", *options]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["http"])
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


class Asking:
    """What one gateway is asked."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address = address
        self._own = {"authorization": f"Bearer {token}"} if token else {}
        document: dict[str, Any] = httpx.get(f"{address}{PREFIX}/openapi.json", headers=self._own).json()
        self.schema = openapi.from_dict(document)
        self.known = [self._over() for _ in range(2)]

    def operations(self) -> Iterator[tuple[str, Any]]:
        """Yield the operations that come to an end, by their names."""
        for found in self.schema.get_all_operations():
            operation: Any = cast("Any", found).ok()
            if _name(operation) not in ENDLESS:
                yield _name(operation), operation

    def ask(self, operation: Any, data: st.DataObject) -> None:
        """Draw one request, send it, and hold the answer against the document."""
        self._answer(operation, data)

    def ask_as_somebody(self, operation: Any, data: st.DataObject) -> None:
        """Draw who asks, too: only who may do it comes further than to be told so."""
        needs = next(each.needs for each in OPERATIONS if each.name == _name(operation))
        role = data.draw(st.sampled_from([None, *Role]), "who asks")
        given = data.draw(st.sampled_from(STRANGERS)) if role is None else f"Bearer {TOKENS[role]}"
        status = self._answer(operation, data, given)
        if role is None:
            assert status == UNKNOWN
        else:
            assert (status == FORBIDDEN) is not role.holds(needs)
            assert status != UNKNOWN

    def _answer(self, operation: Any, data: st.DataObject, authorization: str | None = None) -> int:
        case: Any = data.draw(operation.as_strategy())
        if authorization is not None:
            case.headers = {**(case.headers or {}), "authorization": authorization}
        parts = case.path_parameters or {}
        if "execution_id" in parts and data.draw(st.booleans()):
            parts["execution_id"] = data.draw(st.sampled_from(self.known))
        # Of a stream the document knows the data of its messages, and not the messages.
        described = [each for each in CHECKS if each is not response_schema_conformance]
        checks = described if _name(operation) in STREAMS else CHECKS
        answer = case.call_and_validate(base_url=self.address, checks=checks, timeout=PATIENCE_S)
        return int(answer.status_code)

    def _over(self) -> str:
        url, json_media = (
            f"{self.address}{PREFIX}/executions",
            {"content-type": "application/json", **self._own},
        )
        execution_id = str(httpx.post(url, content=WORK, headers=json_media).json()["execution_id"])
        wait, one = {"wait": PATIENCE_S}, f"{url}/{execution_id}"
        httpx.get(one, params=wait, headers=self._own, timeout=2 * PATIENCE_S)
        return execution_id


def _name(operation: Any) -> str:
    return str(operation.definition.raw["operationId"])
