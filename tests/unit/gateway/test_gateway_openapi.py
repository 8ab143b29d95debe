"""The OpenAPI document is valid, and says of every operation what its handler's signature says."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate

from talka_services.gateway.openapi import openapi
from talka_services.gateway.operations import Operation
from talka_services.gateway.table import OPERATIONS, PREFIX

PAGE = Path(__file__).parents[3] / "docs" / "http-api.md"
DOCUMENT: dict[str, Any] = json.loads(openapi())


def described(operation: Operation) -> dict[str, Any]:
    """Return what the document says of an operation."""
    found: dict[str, Any] = DOCUMENT["paths"][PREFIX + operation.path][operation.method.lower()]
    return found


def test_it_is_a_valid_document() -> None:
    """By the schema of OpenAPI 3.1, every reference leading somewhere."""
    assert DOCUMENT["openapi"] == "3.1.0"
    validate(DOCUMENT)


def test_it_has_exactly_the_operations_of_the_table() -> None:
    """None is missing, none is made up, and each has a name of its own."""
    names = [item[method]["operationId"] for item in DOCUMENT["paths"].values() for method in item]
    assert sorted(names) == sorted(operation.name for operation in OPERATIONS)
    assert len(set(names)) == len(names)


def test_it_says_what_is_asked_and_what_is_answered() -> None:
    """Each path's parts, the key, the body, every status of success, and the problem of every other."""
    for operation in OPERATIONS:
        found = described(operation)
        parameters = {(each["name"], each["in"]) for each in found["parameters"]}
        assert {name for name, place in parameters if place == "path"} == set(operation.parts)
        assert (("Idempotency-Key", "header") in parameters) is operation.is_keyed
        assert ("requestBody" in found) is (operation.body is not None)
        statuses = {str(status.value) for status in operation.statuses}
        assert set(found["responses"]) == statuses | {"default"}
        assert found["summary"].endswith((".", ":")), operation.name


def test_queries_and_bodies_have_their_types() -> None:
    """A parameter's name, default and limits are those of its field."""
    listed = described(next(each for each in OPERATIONS if each.name == "list_events"))
    first = next(each for each in listed["parameters"] if each["name"] == "from")
    assert first["schema"] == {"type": "integer", "minimum": 1, "maximum": 2**53, "default": 1}
    assert (first["required"], first["description"]) == (False, "Begin at this event.")
    fork = described(next(each for each in OPERATIONS if each.name == "fork_execution"))
    assert fork["requestBody"]["required"] is True
    reference = fork["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]["required"] == ["at"]
    assert str(HTTPStatus.CREATED.value) in fork["responses"]


def test_the_guide_lists_every_operation_and_no_other() -> None:
    """With the words of its summary."""
    page = PAGE.read_text(encoding="utf-8").partition("## Operations")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    told = [
        f"| `{each.method} {each.path}` | {each.description.partition(chr(10))[0]} |" for each in OPERATIONS
    ]
    assert sorted(rows) == sorted(told)
