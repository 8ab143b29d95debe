"""The OpenAPI 3.1 document, made of the table of operations and of the types that their handlers name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec.structs import fields

from talka_services.gateway.operations import EVENT_STREAM, JSON, Operation
from talka_services.gateway.problems import MEDIA_TYPE, Problem
from talka_services.gateway.table import OPERATIONS, PREFIX

REFERENCE = "#/components/schemas/{name}"
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key makes the same request once, however often it is sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token, where the gateway asks for one; the role beside it is the least that will do.",
}
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last message that arrived; the stream goes on behind it.",
    "schema": {"type": "integer", "minimum": 0},
}


@cache
def openapi() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    """Return the document."""
    schemas = _Schemas(OPERATIONS)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        described = _described(operation, schemas)
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Talka",
            "version": version("talka"),
            "description": "Every operation of the public interface. Errors are problems as of RFC 9457.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {"problem": _problem()},
            "securitySchemes": {"token": TOKEN},
        },
    }


class _Schemas:
    """The schemas of all types that operations name."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._types = list(dict.fromkeys(kind for each in operations for kind in _types(each)))
        found, self.components = msgspec.json.schema_components(
            [*self._types, Problem], ref_template=REFERENCE
        )
        self._found = dict(zip(self._types, found, strict=False))

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type, or a reference to it."""
        schema: dict[str, Any] = self._found[kind]
        return schema


def _types(operation: Operation) -> Iterator[Any]:
    yield operation.answer
    if operation.body is not None:
        yield operation.document or operation.body
    if operation.query is not None:
        yield from (each.type for each in fields(operation.query))


def _described(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = operation.description.partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "tags": [operation.tag],
        "security": [{}, {"token": [operation.needs.value]}],
        "parameters": [*_parameters(operation, schemas)],
        "responses": _responses(operation, schemas),
    }
    if rest.strip():
        described["description"] = " ".join(rest.split())
    if operation.body is not None:
        schema = schemas.of(operation.document or operation.body)
        described["requestBody"] = {
            "required": operation.document is not None or _is_required(operation.body),
            "content": {media: {"schema": schema} for media in operation.media},
        }
    return described


def _is_required(body: Any) -> bool:
    return any(each.required for each in fields(body))


def _parameters(operation: Operation, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name in operation.parts:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for each in fields(operation.query) if operation.query is not None else ():
        schema = dict(schemas.of(each.type))
        parameter: dict[str, Any] = {"name": each.encode_name, "in": "query", "required": each.required}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if not each.required:
            schema["default"] = msgspec.to_builtins(each.default)
        yield parameter | {"schema": schema}
    if operation.is_keyed:
        yield KEY
    if operation.answers == EVENT_STREAM:
        yield LAST_EVENT_ID


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    schema = schemas.of(operation.answer)
    responses: dict[str, Any] = {}
    for status in operation.statuses:
        content = {operation.answers: {"schema": _answer(operation, schema)}}
        has_body = status is not HTTPStatus.NO_CONTENT
        responses[str(status.value)] = {"description": status.phrase} | (
            {"content": content} if has_body else {}
        )
    return responses | {"default": {"$ref": "#/components/responses/problem"}}


def _answer(operation: Operation, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an answer; that of each message's data in a stream, and none of a file."""
    if operation.answers != EVENT_STREAM:
        return schema if operation.answers == JSON else {}
    return {"type": "string", "contentMediaType": JSON, "contentSchema": schema}


def _problem() -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(name="Problem")}
    return {"description": "What went wrong.", "content": {MEDIA_TYPE: {"schema": schema}}}
