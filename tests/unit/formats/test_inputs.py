"""Goal: inputs are declared, bound everywhere, typed without loss, and never read as references again."""

from __future__ import annotations

from typing import Any

import pytest

from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats import bind_inputs, load, parse_inputs

FILE = """\
talka: 1
name: for ${input.who}
inputs: {who: null, seconds: 2, flag: [a]}
tasks:
  - id: a
    agent_type: note
    payload: {seconds: "${input.seconds}", all: "${input.flag}", kept: "$${input.who}"}
    priority: ${input.seconds}
  - id: b
    agent_type: note
    payload: {text: "Hello ${ input.who }, ${a.x}"}
"""


def test_bound_everywhere() -> None:
    """Inputs are put into names, numbers and payloads; defaults fill in; escapes stay for later."""
    workflow = load(FILE, inputs={"who": "you", "seconds": "7"})
    assert workflow.name == "for you"
    assert workflow.tasks[0].payload == {"seconds": 7, "all": ["a"], "kept": "$${input.who}"}
    assert workflow.tasks[0].priority == 7
    assert workflow.tasks[1].payload == {"text": "Hello you, ${a.x}"}


def test_values_are_not_references() -> None:
    """A value that looks like a reference stays text."""
    workflow = load(FILE, inputs={"who": "${a.secret}"})
    assert workflow.tasks[1].payload["text"] == "Hello $${a.secret}, ${a.x}"
    assert workflow.name == "for ${a.secret}"


@pytest.mark.parametrize(
    ("given", "default", "value"),
    [
        ("5", 1, 5),
        ("2.5", 1, 2.5),
        ("true", None, True),
        ('{"a": [1]}', None, {"a": [1]}),
        ("1.10", None, "1.10"),
        ("007", None, "007"),
        ("NaN", 1, "NaN"),
        ("5", "text", "5"),
        ("words", 1, "words"),
        (["x"], 1, ["x"]),
    ],
)
def test_typed_without_loss(given: Any, default: Any, value: Any) -> None:
    """A given text becomes a JSON value only when that loses nothing and the default is no text."""
    assert bind_inputs({"inputs": {"k": default}, "name": "${input.k}"}, {"k": given})["name"] == value


@pytest.mark.parametrize(
    ("document", "inputs", "code", "words"),
    [
        ({"inputs": {"k": None}}, {}, "missing_input", "--input k=VALUE"),
        ({"inputs": {"key": 1}}, {"kye": "1"}, "unknown_input", "Did you mean 'key'?"),
        ({}, {"k": "1"}, "unknown_input", "It takes no inputs"),
        ({"name": "${input.k}"}, {}, "unknown_input", "inputs: {k: null}"),
        ({"inputs": ["k"]}, {}, "wrong_type", "keys with values"),
    ],
)
def test_refused(document: dict[str, Any], inputs: dict[str, str], code: str, words: str) -> None:
    """A missing, an undeclared and a misspelt input are refused."""
    with pytest.raises(WorkflowInvalidError) as caught:
        bind_inputs(document, inputs)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_parse() -> None:
    """Pairs are split at the first equals sign; what is no pair, or comes twice, is refused."""
    assert parse_inputs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for bad in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(WorkflowInvalidError):
            parse_inputs(bad)
