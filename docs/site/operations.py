"""The page of all HTTP operations and the types that they speak of, from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

INTRODUCTION = """# HTTP operations

Made from the gateway's [OpenAPI document](openapi.json), which it also serves at `/api/v1/openapi.json`.
[The HTTP API](../http-api.md) explains keys, pages, streams, errors and who may ask.
"""


def operations_page(document: Mapping[str, Any]) -> str:
    """Return the page."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines = by_tag.setdefault(operation["tags"][0], [])
            lines += _operation(f"{method.upper()} {path}", operation)
    rows = [INTRODUCTION]
    for tag, lines in by_tag.items():
        rows += [f"## {tag[0].upper()}{tag[1:]}", "", *lines]
    rows += ["## Types", ""]
    for name, schema in document["components"]["schemas"].items():
        rows += _type(name, schema)
    return "\n".join(rows) + "\n"


def _operation(called: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {called}\n"
    yield f"{_text(operation['summary'])} {_text(operation.get('description', ''))}".rstrip() + "\n"
    if operation.get("parameters"):
        yield "| parameter | in | type | meaning |\n|---|---|---|---|"
        for each in operation["parameters"]:
            needed = " (required)" if each.get("required") else ""
            meaning = _text(each.get("description", ""))
            yield f"| `{each['name']}` | {each['in']}{needed} | {shown(each['schema'])} | {meaning} |"
        yield ""
    if "requestBody" in operation:
        for media, content in operation["requestBody"]["content"].items():
            yield f"- body `{media}`: {shown(content['schema'])}"
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            yield "- every other status: a [problem](#type-problem) as `application/problem+json`"
            continue
        for media, content in answer.get("content", {}).items():
            yield f"- {status} {answer['description']}, `{media}`: {shown(content.get('schema', {}))}"
        if not answer.get("content"):
            yield f"- {status} {answer['description']}"
    yield ""


def _type(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'### <a id="{anchor(name)}"></a>{_short(name)}\n'
    yield f"{_text(schema.get('description', ''))}\n"
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{each}`" for each in schema["enum"]) + ".\n"
    elif schema.get("properties"):
        required = set(schema.get("required", ()))
        yield "| field | type | |\n|---|---|---|"
        for field, kind in schema["properties"].items():
            yield f"| `{field}` | {shown(kind)} | {'always there' if field in required else ''} |"
        yield ""


def anchor(name: str) -> str:
    """Return the anchor of a type; dots of a full name are left out."""
    return f"type-{name.replace('.', '-').lower()}"


def shown(schema: Mapping[str, Any]) -> str:
    """Return a schema as a short text, with links to the types that it names."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            return f"[{_short(name)}](#{anchor(name)})"
        case {"anyOf": list(choices)} | {"oneOf": list(choices)}:
            return " or ".join(dict.fromkeys(shown(each) for each in choices))
        case {"enum": list(values)}:
            return ", ".join(f"`{each}`" for each in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {shown(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object of {shown(values)}"
        case {"type": str(kind)}:
            return kind + _bounds(schema)
        case _:
            return "any"


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "&lt;"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema]
    return f" ({', '.join(bounds)})" if bounds else ""


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _text(text: str) -> str:
    """Return a description as one line of Markdown."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|").replace("<", "&lt;")
