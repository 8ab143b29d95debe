"""Goal: a workflow loads from files and Python functions, and the shipped examples and schema are good."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from talka_core.graph import plan
from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats import dump_yaml, load, read_file
from talka_services.formats.schema import schema_text, workflow_schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))

MODULE = """\
from talka_core.builder import WorkflowBuilder
from talka_protocols.workflow import Task

def flow(count="2"):
    builder = WorkflowBuilder("made")
    for position in range(int(count)):
        builder.add_task(Task(f"t{position}", "sleep", payload={"seconds": 0}))
    return builder.build()

def builder():
    return WorkflowBuilder("made").add_task(Task("t", "sleep", payload={"seconds": 0}))

def nothing():
    return None

other = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a module of workflows into the current directory and return its name."""
    name = f"flows_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def test_function(module: str) -> None:
    """A function is called with the inputs, and may return a builder."""
    assert len(load(f"{module}:flow").tasks) == 2
    assert len(load(f"{module}:flow", inputs={"count": "3"}, max_tasks=3).tasks) == 3
    assert load(f"{module}:builder", max_seconds=9).constraints.max_seconds == 9


@pytest.mark.parametrize(
    ("function", "words"),
    [("flwo", "Did you mean 'flow'"), ("nothing", "not a Workflow"), ("other", "no function 'other'")],
)
def test_wrong_function(module: str, function: str, words: str) -> None:
    """A missing function and a wrong result are named."""
    with pytest.raises(WorkflowInvalidError, match=words):
        load(f"{module}:{function}")


def test_unknown_module() -> None:
    """A name that is neither a file nor a module is refused as both."""
    with pytest.raises(WorkflowInvalidError, match="no file 'no_such_module_here:flow', and no module"):
        load("no_such_module_here:flow")


def test_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose name holds a colon is a file."""
    monkeypatch.chdir(tmp_path)
    Path("a:b").write_text("talka: 1\nname: x\ntasks: [{id: a, agent_type: python, payload: {call: a}}]\n")
    assert load("a:b").name == "x"


def test_missing_file(tmp_path: Path) -> None:
    """The error of a missing file names it."""
    with pytest.raises(WorkflowInvalidError) as caught:
        load(tmp_path / "x.yaml")
    assert str(caught.value).startswith(str(tmp_path / "x.yaml"))


def _fits(document: object) -> bool:
    validator: Any = jsonschema.Draft202012Validator(workflow_schema())
    return bool(validator.is_valid(document))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: Path) -> None:
    """Every shipped example loads, fits the schema, round-trips, and ends within half a minute."""
    workflow = load(path)
    assert load(dump_yaml(workflow)) == workflow
    assert plan(workflow).estimated_duration < 30
    assert _fits(read_file(path).value)


def test_python_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python example finds its dependencies in parameter names."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])
    workflow = load("docs.examples.neighbours:workflow", inputs={"upto": 3})
    assert [(edge.from_task, edge.to_task) for edge in workflow.dependencies] == [
        ("numbers", "squares"),
        ("squares", "total"),
        ("squares", "half"),
    ]


def test_schema_is_current() -> None:
    """The published schema is the one that the structs give."""
    assert (ROOT / "docs" / "workflow.schema.json").read_text() == schema_text()


def test_schema_refuses() -> None:
    """The schema refuses what the loader refuses: unknown fields and numbers out of range."""
    task = {"id": "a", "agent_type": "sleep"}
    good = {"talka": 1, "name": "x", "tasks": [task]}
    assert _fits(good)
    for bad in ({"retriees": 1}, {"priority": 101}, {"timeout_seconds": 0}, {"id": "a b"}):
        assert not _fits(good | {"tasks": [task | bad]})
