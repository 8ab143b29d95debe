"""Goal: references are found, resolved and escaped exactly as their rules say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.references import (
    Reference,
    UnresolvedReferenceError,
    escape,
    extract,
    find_references,
    mentions,
    resolve,
)
from talka_protocols.errors import WorkflowInvalidError

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_find() -> None:
    """References are found at any depth, with the place of their string, and keys are not looked at."""
    payload = {"${no}": ["x", {"y": "a ${fetch.stdout} b ${ parse }"}], "z": "$${fetch}"}
    assert find_references(payload, {"fetch", "parse"}) == (
        Reference("fetch.stdout", "fetch", ("stdout",), ("${no}", 1, "y")),
        Reference("parse", "parse", (), ("${no}", 1, "y")),
    )


def test_longest_id_wins() -> None:
    """Ids may hold dots, so the longest id that fits is meant."""
    ids = {"a", "a.b", "NF.X_1"}
    found = find_references(["${a.b.c}", "${a.c}", "${NF.X_1.out.0}", "${q.a}"], ids)
    assert [(r.task_id, r.path) for r in found] == [
        ("a.b", ("c",)),
        ("a", ("c",)),
        ("NF.X_1", ("out", "0")),
        (None, ("q", "a")),
    ]


@pytest.mark.parametrize("text", ["${}", "x ${ }", "${a", "${a$b}", "${${a}}", "echo ${"])
def test_malformed(text: str) -> None:
    """An empty reference, or one that does not close, is refused with its place."""
    with pytest.raises(WorkflowInvalidError) as caught:
        find_references({"k": [text]}, {"a", "b"})
    assert caught.value.code == "bad_reference"
    assert caught.value.path == ("k", 0)
    assert "$${" in caught.value.hint


def test_resolve() -> None:
    """A whole string becomes the value itself, an embedded one its text, and escapes are undone."""
    values = {"a": {"n": 1}, "a.n": 1, "s": "text", "none": None}
    payload = {"whole": "${a}", "in": "n=${a.n}, ${s}, ${none}, ${a}", "kept": "$${a}", "list": ["${ s }"]}
    assert resolve(payload, values) == {
        "whole": {"n": 1},
        "in": 'n=1, text, null, {"n":1}',
        "kept": "${a}",
        "list": ["text"],
    }
    assert payload["whole"] == "${a}"


def test_resolve_does_not_read_values_again() -> None:
    """What a value says is never taken for a reference."""
    assert resolve("<${a}>", {"a": "${b} $${c}"}) == "<${b} $${c}>"


def test_resolve_lacks_a_value() -> None:
    """A reference without a value is named, with what was probably meant."""
    with pytest.raises(UnresolvedReferenceError, match=r"fetch\.stdot.*fetch\.stdout"):
        resolve("${fetch.stdot}", {"fetch.stdout": ""})


def test_extract() -> None:
    """A path leads through keys, positions and keys that hold dots."""
    result = {"list": [{"x": 5}], "a.txt": {"size": 3}}
    assert extract(result, ()) is result
    assert extract(result, ("list", "0", "x")) == 5
    assert extract(result, ("a", "txt", "size")) == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("exit_cod",), r"The result has no 'exit_cod'\. Did you mean 'exit_code'\?"),
        (("list", "3"), r"The field 'list' of the result has no '3'\. It is a list of 1"),
        (("list", "-1"), r"has no '-1'"),
        (("exit_code", "x"), r"type int, which has no fields"),
        (("none", "x"), r"type null"),
    ],
)
def test_extract_fails(path: tuple[str, ...], message: str) -> None:
    """A missing part is named together with what is there instead."""
    with pytest.raises(UnresolvedReferenceError, match=message):
        extract({"exit_code": 0, "list": [1], "none": None}, path)


@settings(deadline=None)
@given(json_values)
def test_escape_round_trip(value: Any) -> None:
    """What was escaped holds no reference and resolves to itself."""
    escaped = escape(value)
    assert find_references(escaped, ()) == ()
    assert resolve(escaped, {}) == value


@settings(deadline=None)
@given(json_values, st.text(st.sampled_from("abc.-_/:"), min_size=1))
def test_reference_round_trip(value: Any, text: str) -> None:
    """A whole-string reference gives back any value unchanged, and is found."""
    payload = {"k": f"${{{text}}}"}
    assert mentions(payload)
    assert find_references(payload, {text})[0].task_id == text
    assert resolve(payload, {text: value}) == {"k": value}
