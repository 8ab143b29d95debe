"""A client of the gateway that holds every answer against the OpenAPI document, and notes what was asked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
from jsonschema import Draft202012Validator

PREFIX = "/api/v1"
PATIENCE_S = 20.0


class Api:
    """Asks one gateway."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=30.0)
        self.document: dict[str, Any] = self.http.get(f"{PREFIX}/openapi.json").json()
        self.asked: set[str] = set()
        self._operations = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), method.upper(), operation)
            for path, item in sorted(self.document["paths"].items(), key=lambda each: each[0].count("{"))
            for method, operation in item.items()
        ]

    @property
    def names(self) -> set[str]:
        """Return the ids of all operations."""
        return {operation["operationId"] for _, _, operation in self._operations}

    def send(self, method: str, path: str, status: int = 200, **request: Any) -> httpx.Response:
        """Send a request, and hold the answer against what the document says of it."""
        response = self.http.request(method, PREFIX + path, **request)
        assert response.status_code == status, response.text
        operation = self._operation(method, path)
        if operation is not None:
            self.asked.add(operation["operationId"])
            self._check(operation, response)
        return response

    def get(self, path: str, status: int = 200, **request: Any) -> Any:
        """Return what is at a path."""
        return self.send("GET", path, status, **request).json()

    def post(self, path: str, body: Any = None, status: int = 200, **request: Any) -> Any:
        """Return what becomes of a request."""
        given = {} if body is None else {"json": body}
        return self.send("POST", path, status, **given, **request).json()

    def submit(self, workflow: str, **headers: str) -> str:
        """Start a workflow, and return its execution's id."""
        sent = {"content-type": "application/yaml", **headers}
        response = self.send("POST", "/executions", 201, content=workflow, headers=sent)
        execution_id: str = response.json()["execution_id"]
        assert response.headers["location"] == f"{PREFIX}/executions/{execution_id}"
        return execution_id

    def until(self, execution_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return where an execution stands as soon as it stands so."""
        end = time.monotonic() + PATIENCE_S
        while not is_so(found := self.get(f"/executions/{execution_id}")):
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return dict(found)

    def until_fired(self, name: str, count: int) -> list[str]:
        """Return what a trigger started as soon as it started so many."""
        end = time.monotonic() + PATIENCE_S
        while True:
            found = self.get(f"/triggers/{name}/events", params={"type": "TriggerFired"})["events"]
            if len(found) >= count:
                return [each["execution_id"] for each in found]
            assert time.monotonic() < end
            time.sleep(0.02)

    def over(self, execution_id: str) -> dict[str, Any]:
        """Return how an execution ended."""
        found: dict[str, Any] = self.get(f"/executions/{execution_id}", params={"wait": 20})
        return found

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        bare = PREFIX + path.partition("?")[0]
        found = (o for pattern, verb, o in self._operations if verb == method and pattern.fullmatch(bare))
        return next(found, None)

    def _check(self, operation: dict[str, Any], response: httpx.Response) -> None:
        responses = operation["responses"]
        described = responses.get(str(response.status_code))
        if described is None:
            described = self.document["components"]["responses"]["problem"]
            assert response.is_error, f"{operation['operationId']} does not tell of {response.status_code}"
        ((media, content),) = described["content"].items()
        assert response.headers["content-type"].partition(";")[0] == media
        if media.endswith("json"):
            whole = {"components": self.document["components"], **content["schema"]}
            validator: Any = Draft202012Validator(whole)
            validator.validate(response.json())


def messages(body: str) -> list[tuple[int, str, Any]]:
    """Return the messages of a stream that has ended as (id, event, data)."""
    found: list[tuple[int, str, Any]] = []
    for block in filter(None, body.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found
