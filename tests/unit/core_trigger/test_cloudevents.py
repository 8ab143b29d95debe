"""CloudEvents in both modes, read and written; whatever else is published is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from talka_core.cloudevents import attributes, check_event, event_key, read_event, write_event
from talka_core.trigger.expressions import variables_of
from talka_protocols.cloudevents import EVENT_BYTES_MAX, CloudEvent
from talka_protocols.errors import EventInvalidError

ABOUT = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "shop", "ce-type": "a.b"}


def structured(**fields: Any) -> bytes:
    """Return an event in structured mode; None leaves a field out."""
    about = {"specversion": "1.0", "id": "1", "source": "shop", "type": "a.b"} | fields
    return json.dumps({name: value for name, value in about.items() if value is not None}).encode()


def data_of(event: CloudEvent) -> Any:
    """Return the data as expressions see it."""
    return variables_of(event)["data"]


def test_structured_mode() -> None:
    """Attributes, extensions and data stand in one object, whatever the content type is."""
    body = structured(subject="s", time="2026-01-01T00:00:00Z", tenant="t", n=3, data={"x": [1]})
    for headers in (None, {}, {"Content-Type": "application/cloudevents+json; charset=utf-8"}):
        event = read_event("a.b", body, headers)
        assert (event.subject, event.extensions, data_of(event)) == ("s", {"tenant": "t", "n": 3}, {"x": [1]})
    seen = variables_of(event)["event"]
    assert (seen["tenant"], seen["subject"], seen["data"], "dataschema" in seen) == (
        "t",
        "s",
        {"x": [1]},
        False,
    )


def test_binary_mode() -> None:
    """Attributes stand in headers, percent-encoded, and the body is what its content type says."""
    headers = ABOUT | {"Ce-Subject": "caf%C3%A9%20one", "ce-tenant": "t"}
    event = read_event("a.b", b'{"x": 1}', headers)
    assert (event.subject, event.extensions, data_of(event)) == ("café one", {"tenant": "t"}, {"x": 1})
    assert data_of(read_event("a.b", b"", ABOUT)) is None
    for content_type, body, data in (
        ("application/vnd.shop+json", b"[1]", [1]),
        ("text/plain; charset=utf-8", "é".encode(), "é"),
        ("application/xml", b"<a/>", "<a/>"),
        ("text/plain", b"\xff", "/w=="),
        ("application/octet-stream", b"\x00\x01", "AAE="),
    ):
        assert data_of(read_event("a.b", body, ABOUT | {"Content-Type": content_type})) == data


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"hello", None, "no JSON object"),
        (b"[1]", None, "no JSON object"),
        (structured(specversion=None), None, "specversion"),
        (structured(specversion="0.3"), None, "0.3"),
        (structured(id=None), None, "no id"),
        (structured(id=""), None, "no id"),
        (structured(id=7), None, "id is no text"),
        (structured(source=None), None, "no source"),
        (structured(type="other"), None, "'other'"),
        (structured(subject="x" * 2_000), None, "subject is longer"),
        (structured(Upper="x"), None, "'Upper'"),
        (structured(nested={"a": 1}), None, "'nested'"),
        (structured(real=1.5), None, "'real'"),
        (structured(big=2**40), None, "32 bits"),
        (structured(data_base64="!"), None, "base64"),
        (structured(data=json.loads("[" * 500 + "]" * 500)), None, "nested deeper"),
        (structured(data="x" * EVENT_BYTES_MAX), None, "bytes"),
        (b"x" * 3 * EVENT_BYTES_MAX, None, "bytes"),
        (b"{", ABOUT, "said to be JSON"),
        (b"{}", {"ce-id": "1", "ce-specversion": "1.0"}, "no source"),
        (b"{}", {"ce-specversion": "1.0", "Content-Type": "application/cloudevents+json"}, "specversion"),
    ],
)
def test_what_is_no_event_is_refused(body: bytes, headers: dict[str, str] | None, said: str) -> None:
    """The sentence says what is wrong."""
    with pytest.raises(EventInvalidError, match=said):
        read_event("a.b", body, headers)


@given(
    st.binary(max_size=200) | st.builds(structured, data=st.text(max_size=20), id=st.text(max_size=3)),
    st.none()
    | st.dictionaries(st.sampled_from([*ABOUT, "content-type", "ce-x", "ce-Ü"]), st.text(max_size=20)),
)
def test_whatever_is_published_is_an_event_or_refused(body: bytes, headers: dict[str, str] | None) -> None:
    """Nothing else can be raised by what anybody may send."""
    try:
        event = read_event("a.b", body, headers)
    except EventInvalidError:
        return
    variables_of(event)
    assert msgspec.json.decode(write_event(event))["type"] == "a.b"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(WORDS, WORDS, st.text(max_size=10), JSON, st.dictionaries(st.sampled_from(["a", "b1"]), WORDS))
def test_what_is_written_reads_the_same(
    event_id: str, source: str, subject: str, data: Any, extensions: dict[str, Any]
) -> None:
    """Through structured mode, with every character that text may have."""
    event = CloudEvent(
        event_id, source, "a.b", subject, data=Raw(msgspec.json.encode(data)), extensions=extensions
    )
    check_event(event)
    again = read_event("a.b", write_event(event), None)
    assert attributes(again) == attributes(event)
    assert data_of(again) == data


def test_base64_stays_as_it_is() -> None:
    """What is binary is written as it was read."""
    event = read_event("a.b", structured(data_base64="AAE="), None)
    assert (event.is_binary, data_of(event)) == (True, "AAE=")
    assert read_event("a.b", write_event(event), None) == event


@given(st.tuples(WORDS, WORDS), st.tuples(WORDS, WORDS))
def test_the_key_of_an_event_is_its_own(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two events share a key only if they share source and id, however these are cut."""
    assert (event_key(*one) == event_key(*other)) is (one == other)
