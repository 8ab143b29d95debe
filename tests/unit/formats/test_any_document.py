"""Goal: whatever a file says, loading gives a workflow or an error for people, never another exception.

Method: a good document is damaged at random places with values of any kind, and texts are cut and spliced.
"""

from __future__ import annotations

import copy
import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Workflow
from talka_services.formats import load

TALKA: dict[str, Any] = {
    "talka": 1,
    "name": "x",
    "inputs": {"k": 1},
    "max_parallel": 2,
    "timeout_seconds": 5.0,
    "strategy": "deadline",
    "metadata": {"a": [1]},
    "tasks": [
        {
            "id": "a",
            "agent_type": "command",
            "type": "io",
            "payload": {"argv": ["${input.k}", {"b": None}]},
            "resources": {"cpu_cores": 1, "custom_resources": {"licence": 1}},
            "labels": {"l": "m"},
            "writes": ["f"],
        },
        {
            "id": "b",
            "agent_type": "sleep",
            "payload": {"t": "${a.stdout}"},
            "depends_on": ["a"],
            "reads": ["f"],
        },
    ],
    "dependencies": [{"from": "a", "to": "b"}],
}
TRACE: dict[str, Any] = {
    "name": "x",
    "schemaVersion": "1.5",
    "runtimeSystem": {"name": "r"},
    "workflow": {
        "specification": {"tasks": [{"id": "a", "name": "a", "parents": [], "children": ["b"]}, {"id": "b"}]},
        "execution": {
            "makespanInSeconds": 1,
            "executedAt": "now",
            "tasks": [{"id": "a", "runtimeInSeconds": 1, "coreCount": 2, "memoryInBytes": 5}],
            "machines": [{"nodeName": "m", "cpu": {"coreCount": 2}, "memoryInBytes": 9}],
        },
    },
}

odd_values = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1e308,
        10**30,
        "",
        "x",
        "${a}",
        "${",
        "${input.k}",
        "${input.q}",
        [],
        [1],
        {},
        {"x": 1},
        ["a"],
    ]
)


def _containers(node: Any) -> list[Any]:
    children: list[Any] = []
    if isinstance(node, dict):
        children = list(cast("dict[str, Any]", node).values())
    elif isinstance(node, list):
        children = list(cast("list[object]", node))
    else:
        return []
    return [node, *(found for child in children for found in _containers(child))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a document with up to three values replaced, removed or added."""
    document: dict[str, Any] = copy.deepcopy(draw(st.sampled_from([TALKA, TRACE])))
    for _ in range(draw(st.integers(1, 3))):
        container: Any = draw(st.sampled_from(_containers(document)))
        is_table = isinstance(container, dict)
        keys: list[Any] = (
            sorted(cast("dict[str, Any]", container)) if is_table else list(range(len(container)))
        )
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        value = copy.deepcopy(draw(odd_values))
        if action != "add" and keys:
            key = draw(st.sampled_from(keys))
            container[key] = value
            if action == "remove":
                del container[key]
        elif is_table:
            container[draw(st.sampled_from(["new", "tasks", "id", "retries", "input"]))] = value
        else:
            container.append(value)
    return document


def _loads_or_is_refused(text: str, file: str) -> None:
    outcome: Workflow | WorkflowInvalidError
    try:
        outcome = load(text.encode(), file_name=file)
    except WorkflowInvalidError as error:
        outcome = error
    assert isinstance(outcome, Workflow) or (outcome.message and outcome.file == file)


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_damaged_documents(document: dict[str, Any]) -> None:
    """A damaged document is refused with words, or is still a workflow."""
    _loads_or_is_refused(json.dumps(document), "w.json")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_texts(data: st.DataObject) -> None:
    """A text that was cut and spliced is refused with words, or is still a workflow."""
    text = json.dumps(TALKA, indent=1)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    inserted = data.draw(st.text(st.sampled_from("{}[]:,'\"#&*!|>%@`-? \n\tab1~<\x00é"), max_size=6))
    _loads_or_is_refused(text[:start] + inserted + text[end:], "w.yaml")


@pytest.mark.parametrize(
    "text", ["a\n", "{}", "{}\n", "[]\n", "null\n", '"x"\n', "talka: 1\n", "talka: {}\n"]
)
def test_short_texts(text: str) -> None:
    """The shortest texts are refused with words."""
    _loads_or_is_refused(text, "w.yaml")
