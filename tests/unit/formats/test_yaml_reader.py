"""Goal: YAML is read as version 1.2 says, and what could hurt is refused before it is built."""

from __future__ import annotations

import math
from typing import Any

import pytest

from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats import json_reader, yaml_reader
from talka_services.formats.places import find_in_yaml
from talka_services.formats.yaml_reader import read_yaml


def _refusal(text: str) -> WorkflowInvalidError:
    with pytest.raises(WorkflowInvalidError) as caught:
        read_yaml(text, file="w.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("010", 10),
        ("0o10", 8),
        ("0x10", 16),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        (".inf", math.inf),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("True", True),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ('"true"', "true"),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("é😀", "é😀"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    """Plain words mean what YAML 1.2's core schema says, and quoted ones are text."""
    assert read_yaml(f"k: {text}") == {"k": value}


def test_aliases_and_merges() -> None:
    """Aliases repeat a value, and a merge adds the keys that are not there."""
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\nd:\n  <<: [*a, {z: 5}]\n'<<': plain\n"
    read = read_yaml(text)
    assert read["b"] == {"x": 1, "y": 3}
    assert read["c"] == {"x": 1, "y": 2}
    assert read["d"] == {"x": 1, "y": 2, "z": 5}
    assert read["<<"] == "plain"


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("a: 1\na: 2\n", "duplicate_key", 2, 1),
        ("a: [1\nb: 2\n", "not_yaml", 2, 2),
        ("a: b: c\n", "not_yaml", 1, 5),
        ("a: 1\n---\nb: 1\n", "not_yaml", 2, 1),
        ("? [a]\n: 1\n", "not_yaml", 1, 3),
        ("a: !!python/object:os.system x\n", "not_yaml", 1, 4),
        ("a: !thing {}\n", "not_yaml", 1, 4),
        ("a: *b\n", "not_yaml", 1, 4),
        ("a: &a [*a]\n", "not_yaml", 1, 8),
        ("a: {<<: 5}\n", "not_yaml", 1, 9),
        ("a: \x07\n", "not_yaml", None, None),
    ],
)
def test_refused(text: str, code: str, line: int | None, column: int | None) -> None:
    """What is no YAML, or more than data, is refused where it stands."""
    error = _refusal(text)
    assert (error.code, error.file, error.line, error.column) == (code, "w.yaml", line, column)


@pytest.mark.parametrize("text", ["[" * 5_000_000, "{a: " * 2_000_000, "- " * 5_000_000])
def test_deep_nesting(text: str) -> None:
    """Millions of open brackets are refused at the first that is too deep."""
    assert _refusal(text).code == "too_deep"


def test_alias_bomb() -> None:
    """Aliases of aliases are refused before they fill the memory."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    assert _refusal("\n".join(lines)).code == "too_many_aliases"


@pytest.mark.parametrize("text", ["a: [x, y, z, x, y]", "[[], {}, {a: {}}]", "- 1\n- 2\n- 3\n- 4\n- 5\n"])
def test_too_many_values(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes time to read and memory to hold, so that there is a most of them."""
    monkeypatch.setattr(yaml_reader, "VALUES_MAX", 3)
    assert _refusal(text).code == "too_many_values"
    assert read_yaml("[x, y]") == ["x", "y"]


@pytest.mark.parametrize("text", ["[1,2,3,4,5]", "[[],{},[]]", '{"a":{"b":{"c":{}}}}'])
def test_too_many_values_of_json(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, told before the text is read."""
    monkeypatch.setattr(json_reader, "VALUES_MAX", 3)
    with pytest.raises(WorkflowInvalidError, match="more than 3 values") as caught:
        json_reader.read_json(text)
    assert caught.value.code == "too_many_values"
    assert json_reader.read_json('{"a": [1, 2]}') == {"a": [1, 2]}


def test_places() -> None:
    """Every value and key has its line and column, and an unknown path gives the nearest."""
    text = "talka: 1\ntasks:\n  - id: a\n    retries: x\n  - [{k: v}, *a]\nname: {x: []}\n"
    assert find_in_yaml(text, ("tasks", 0, "retries")) == (4, 14)
    assert find_in_yaml(text, ("tasks", 0, "retries"), at_key=True) == (4, 5)
    assert find_in_yaml(text, ("tasks", 0, "nothing", "deeper")) == (3, 5)
    assert find_in_yaml(text, ("tasks", 1, 0, "k")) == (5, 10)
    assert find_in_yaml(text, ("tasks", 1, 1, "k")) == (5, 14)
    assert find_in_yaml(text, ("tasks", 9)) == (3, 3)
    assert find_in_yaml(text, ("name", "x", 0)) == (6, 11)
    assert find_in_yaml(text, ("name", "y"), at_key=True) == (6, 7)
    assert find_in_yaml(text, ()) == (1, 1)
