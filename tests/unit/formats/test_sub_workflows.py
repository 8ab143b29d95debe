"""Goal: sub-workflows are read from a file, inside another or named by it, and errors say where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_core.builder import WorkflowBuilder
from talka_core.inputs import bind
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task, Workflow
from talka_services.formats.loader import load
from talka_services.formats.talka_file import dump_yaml

PARENT = """
talka: 1
name: parent
inputs: {n: 3}
tasks:
  - id: sub
    agent_type: workflow
    payload: {inputs: {n: "${input.n}"}}
    workflow:
      inputs: {n: null, s: "$${input.s}"}
      tasks:
        - {id: a, agent_type: sleep, payload: {seconds: "${input.n}"}}
        - id: b
          agent_type: workflow
          payload: {inputs: {m: "${input.n}"}, output: c}
          depends_on: [a]
          workflow:
            inputs: {m: 1}
            tasks: [{id: c, agent_type: sleep, payload: {seconds: "${input.m}"}}]
"""

CHILD = """
talka: 1
name: child
inputs: {n: null}
tasks:
  - {id: a, agent_type: sleep, payload: {seconds: "${input.n}"}}
"""

NAMING = """
talka: 1
name: parent
tasks:
  - id: sub
    agent_type: workflow
    workflow_file: parts/child.yaml
    payload: {inputs: {n: 3}}
"""


def _child(workflow: Workflow, position: int = 0) -> Workflow:
    child = workflow.tasks[position].workflow
    assert child is not None
    return child


def _refused(path: Path, parent: str, child: str = CHILD) -> WorkflowInvalidError:
    (path / "parts").mkdir(exist_ok=True)
    (path / "parts" / "child.yaml").write_text(child)
    (path / "parent.yaml").write_text(parent)
    with pytest.raises(WorkflowInvalidError) as refused:
        load(path / "parent.yaml")
    return refused.value


def test_sub_workflow_keeps_its_own_inputs() -> None:
    """The file's inputs reach the task's payload; those of the sub-workflow wait until it begins."""
    workflow = load(PARENT)
    child = _child(workflow)
    assert workflow.tasks[0].payload == {"inputs": {"n": 3}}
    assert (child.id, child.name, child.inputs) == ("sub", "sub", {"n": None, "s": "$${input.s}"})
    assert child.tasks[0].payload == {"seconds": "${input.n}"}
    bound = bind(child, {"n": 3})
    assert bound.tasks[0].payload == {"seconds": 3}
    assert bound.tasks[1].payload == {"inputs": {"m": 3}, "output": "c"}
    assert _child(bound, 1).tasks[0].payload == {"seconds": "${input.m}"}


def test_what_is_put_in_is_no_reference() -> None:
    """A text that looks like a reference stays the text that it is."""
    child = bind(_child(load(PARENT)), {"n": "${a.x} and ${input.s}"})
    assert child.tasks[0].payload == {"seconds": "$${a.x} and $${input.s}"}


def test_written_and_read_again_it_is_the_same() -> None:
    """The YAML of a workflow with sub-workflows loads to an equal one, with the same derived id."""
    workflow = load(PARENT)
    assert load(dump_yaml(workflow)) == workflow


def test_id_depends_on_the_sub_workflow_and_not_on_its_limits() -> None:
    """Two definitions that differ in a nested payload have different ids; limits are the caller's."""
    other = load(PARENT.replace("{m: 1}", "{m: 2}"))
    assert other.id != load(PARENT).id
    assert load(PARENT, max_tasks=5).id == load(PARENT).id


def test_file_of_its_own_is_relative_to_the_one_that_names_it(tmp_path: Path) -> None:
    """The sub-workflow is read with the file, so that nothing but the definition is needed later."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "child.yaml").write_text(CHILD)
    (tmp_path / "parent.yaml").write_text(NAMING)
    assert _child(load(tmp_path / "parent.yaml")).name == "child"


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("inputs: {n: 3}}", "inputs: {n: 3, x: 1}}", "unknown_input", 8),
        ("payload: {inputs: {n: 3}}", "retries: 1", "missing_input", 5),
        ("inputs: {n: 3}}", "inputs: {n: 3}, output: b}", "unknown_task", 8),
        ("workflow_file: parts/child.yaml", "retries: 0", "missing_field", 5),
        ("agent_type: workflow", "agent_type: sleep", "unknown_field", 5),
        ("workflow_file:", "workflow: {tasks: []}\n    workflow_file:", "unknown_field", 8),
    ],
)
def test_error_in_the_parent_has_its_line(tmp_path: Path, old: str, new: str, code: str, line: int) -> None:
    """What the task says of its sub-workflow is checked against it before anything is stored."""
    error = _refused(tmp_path, NAMING.replace(old, new))
    assert error.code == code
    assert str(error.file).endswith("parent.yaml")
    assert error.line == line or code in ("missing_field", "unknown_field", "missing_input")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("input.n", "input.m", "unknown_input"),
        ("agent_type: sleep", "agent_typ: sleep", "unknown_field"),
        ('"${input.n}"', "-1", "bad_number"),
        ('"${input.n}"', '"${b.x}"', "unknown_reference"),
    ],
)
def test_error_in_a_file_of_its_own_has_its_place_there(
    tmp_path: Path, old: str, new: str, code: str
) -> None:
    """The error names the sub-workflow's file, the line in it, and the task that runs it."""
    error = _refused(tmp_path, NAMING, CHILD.replace(old, new))
    assert (error.code, error.line) == (code, 6)
    assert str(error.file).endswith("child.yaml")
    assert "'sub'" in error.message


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    """A workflow cannot be part of itself."""
    error = _refused(tmp_path, NAMING, NAMING.replace("parts/child.yaml", "../parent.yaml"))
    assert error.code == "too_deep"


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The error says which file there is not."""
    error = _refused(tmp_path, NAMING.replace("parts/child", "parts/other"))
    assert error.code == "unreadable_file"
    assert "other.yaml" in str(error.file)


def test_built_in_python_it_is_checked_as_a_whole() -> None:
    """A builder declares the inputs of a sub-workflow, and nesting has a bound."""
    inner = WorkflowBuilder("inner").set_inputs({"n": None})
    child = inner.add_task(Task("a", "sleep", payload={"seconds": "${input.n}"})).build()
    task = Task("sub", "workflow", workflow=child, payload={"inputs": {"n": 1}})
    assert WorkflowBuilder("outer").add_task(task).build().tasks[0].workflow == child
    nested = child
    with pytest.raises(WorkflowInvalidError) as refused:  # noqa: PT012  (some level is one too many)
        for _ in range(10):
            task = Task("sub", "workflow", workflow=nested, payload={"inputs": {"n": 1}})
            nested = WorkflowBuilder("outer").add_task(task).set_inputs({"n": 0}).build()
    assert refused.value.code == "too_deep"
