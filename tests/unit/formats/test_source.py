"""Goal: whatever a file holds, the answer is its value or an error that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats import source
from talka_services.formats.places import find_in_json
from talka_services.formats.source import read_file, read_text


def _refusal(content: str | bytes, file: str | None = None) -> WorkflowInvalidError:
    with pytest.raises(WorkflowInvalidError) as caught:
        read_text(content, file=file)
    return caught.value


@pytest.mark.parametrize(
    ("content", "file", "code", "line"),
    [
        (b"", "w.yaml", "empty_file", None),
        (b" \n\n", "w.yaml", "empty_file", None),
        (b"# only a comment\n", "w.yaml", "wrong_type", 1),
        (b"- a\n", "w.yaml", "wrong_type", 1),
        (b"just words", "w.yaml", "wrong_type", 1),
        (b"\x7fELF\x00\x01", "w.yaml", "not_text", None),
        (b"a: 1\nb: \xff\n", "w.yaml", "not_text", 2),
        (b'{"a": 1,}', "w.json", "not_json", 1),
        (b'{"a": 1,\n "a": 2}', "w.json", "duplicate_key", 2),
        (b'{"a": "NaN",\n "b": [-Infinity]}', "w.json", "not_json", 2),
        (b'{"a": 1,\n "b": Infinity$', "w.json", "not_json", 2),
        (b"[1]", "w.json", "wrong_type", 1),
        (b"talka: 1", "w.json", "not_json", 1),
        pytest.param(b'{"a":' * 50 + b"\n" + b"[" * 100_000, "w.yaml", "too_deep", 2, id="deep"),
        pytest.param(b'{"a":\n' + b"9" * 10_000 + b"}", "w.json", "not_json", 2, id="long number"),
    ],
)
def test_refused(content: bytes, file: str, code: str, line: int | None) -> None:
    """Empty, binary, malformed and lossy files are refused with the reason."""
    error = _refusal(content, file)
    assert (error.code, error.file, error.line) == (code, file, line)


def test_flow_mapping_is_yaml() -> None:
    """A text that starts with a brace and is no JSON is read as YAML."""
    assert read_text("{talka: 1, name: x}").value == {"talka": 1, "name": "x"}
    assert read_text(b'\xef\xbb\xbf{"talka": 1}').value == {"talka": 1}


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the limit is refused unread."""
    monkeypatch.setattr(source, "YAML_BYTES_MAX", 100)
    monkeypatch.setattr(source, "JSON_BYTES_MAX", 1000)
    assert _refusal("a: " + "x" * 200).code == "file_too_large"
    assert _refusal(b'{"a": "' + b"x" * 2000 + b'"}').code == "file_too_large"


def test_missing_and_directory(tmp_path: Path) -> None:
    """A missing file and a directory are told apart."""
    with pytest.raises(WorkflowInvalidError, match="no such file"):
        read_file(tmp_path / "nothing.yaml")
    with pytest.raises(WorkflowInvalidError, match="directory"):
        read_file(tmp_path)


def test_json_positions() -> None:
    """Positions in JSON are found without reading it into places, keys and items alike."""
    text = '{\n  "a": [1, {"b": "x", "c": [true]}],\n  "d": {}\n}'
    assert find_in_json(text, ("a", 1, "c", 0)) == (2, 29)
    assert find_in_json(text, ("a", 1, "c"), at_key=True) == (2, 23)
    assert find_in_json(text, ("a", 7)) == (2, 8)
    assert find_in_json(text, ("d", "x", 0)) == (3, 8)
    assert find_in_json(text, ("a", "wrong kind")) == (2, 8)
    assert find_in_json(text, ()) == (1, 1)
