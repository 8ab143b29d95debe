"""Secrets in definitions, and how they are taken out of what a task leaves."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.dataflow import detect
from talka_core.secrets import MASK, MASKED_CHARS_MIN, RedactedStream, Redactor
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action, MapOver
from talka_protocols.workflow import Task, Workflow

VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=MASKED_CHARS_MIN, max_size=20).filter(
    lambda value: len(value.strip()) >= MASKED_CHARS_MIN and "*" not in value
)


def workflow(*tasks: Task) -> Workflow:
    """Return a workflow of these tasks."""
    return Workflow(id="w", name="w", tasks=tasks)


def test_a_secret_is_no_dependency() -> None:
    """It may stand in payloads of tasks, fallbacks and compensations, and nobody waits for anything."""
    payload = {"env": {"PW": "${secret.db-password}"}}
    action = Action("command", {"argv": ["${secret.A}"]})
    task = Task("a", "command", payload=payload, fallback=action, compensation=action)
    assert detect(workflow(task)) == ()
    assert check(workflow(task)).dependencies == ()


@pytest.mark.parametrize(
    "task",
    [
        Task("a", "command", payload={"argv": ["${secret.two.parts}"]}),
        Task("a", "command", payload={"argv": ["${secret}"]}),
        Task("a", "signal", payload={"name": "${secret.A}"}),
        Task("a", "command", map=MapOver("${secret.A}"), payload={"argv": ["true"]}),
    ],
)
def test_a_secret_where_nobody_could_put_it_in_is_refused(task: Task) -> None:
    """A name that cannot be, and a place that no worker sees, are refused with their place."""
    with pytest.raises(WorkflowInvalidError) as raised:
        detect(workflow(task))
    assert raised.value.code == "bad_secret"
    assert raised.value.path[:2] == ("tasks", 0)


def test_no_task_may_be_called_secret() -> None:
    """A reference to it could not be told from one to a secret."""
    with pytest.raises(WorkflowInvalidError, match="stands for a secret"):
        check(workflow(Task("secret", "sleep", payload={"seconds": 0})))


@settings(deadline=None)
@given(VALUES, st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 5))
def test_a_value_is_found_in_a_stream_however_it_is_cut(value: str, around: str, size: int) -> None:
    """Nothing of what comes out holds the value, and nothing else is lost."""
    stream, data = RedactedStream(Redactor([value])), f"{around}{value}{around}".encode()
    out = b"".join(stream.feed(data[start : start + size]) for start in range(0, len(data), size))
    out += stream.close()
    assert value.encode() not in out
    assert MASK.encode() in out


@settings(deadline=None)
@given(VALUES)
def test_a_value_is_found_in_data_of_any_shape(value: str) -> None:
    """In texts, in keys, inside longer texts, encoded in base64 and as JSON in JSON."""
    inner = base64.b64encode(value.encode()).decode()
    data = {"a": [value, f"x{value}y"], value: inner, "json": msgspec.json.encode([value]).decode()}
    cleaned = Redactor([value]).json(msgspec.json.encode(data))
    assert value not in json.dumps(json.loads(cleaned), ensure_ascii=False)
    assert inner.rstrip("=") not in cleaned.decode()


ENCODED: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "ascii json": json.dumps,
    "html": html.escape,
    "path": quote,
    "form": quote_plus,
}


@pytest.mark.parametrize("way", ENCODED)
def test_a_value_is_found_in_what_is_encoded_with_it(way: str) -> None:
    """As a password in a header, behind a user's name of any length; in a text, in data, and in a stream."""
    value = "correct horse/é+<x>?"
    redactor = Redactor([value])
    for before in ("", "a", "ab", "ada:"):
        encoded = ENCODED[way](f"{before}{value}:z")
        for cleaned in (
            redactor.text(encoded),
            redactor.json(msgspec.json.encode({"said": encoded})).decode(),
            RedactedStream(redactor).feed(encoded.encode() + b"\n" * 99).decode(),
        ):
            assert MASK in cleaned
            left = [part for part in re.split(r"\W+", cleaned) if len(part) > 8 and part in encoded]
            assert left == []


def test_what_holds_no_secret_is_left_alone() -> None:
    """The same bytes come back, whatever they are; a value that is too short masks nothing."""
    encoded = b'{"a": 1.50,  "b": "abc"}'
    assert Redactor(["secret"]).json(encoded) is encoded
    assert Redactor(["abc"]).text("abc") == "abc"
    assert Redactor([]).is_idle
    assert Redactor(["1234"]).json(b"[1234,12345]") == b'["***",12345]'


def test_each_line_of_a_key_is_a_secret() -> None:
    """What prints one line of a private key gives away nothing of it."""
    assert Redactor(["-----BEGIN-----\nabcdef\nghijkl\n"]).text("line: ghijkl") == "line: ***"
