"""Goal: dependencies follow from references and artifacts, and what cannot follow is refused."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.dataflow import detect
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, Task, Workflow


def _workflow(*tasks: Task, dependencies: tuple[Dependency, ...] = ()) -> Workflow:
    return Workflow(id="w", name="w", tasks=tasks, dependencies=dependencies)


def _task(task_id: str, agent_type: str = "sleep", **fields: Any) -> Task:
    return Task(task_id, agent_type, **fields)


def test_reasons() -> None:
    """Each pair appears once: declared before detected, and detected ones with what they follow from."""
    workflow = _workflow(
        _task("a", writes=("./out//x.csv",)),
        _task("b", payload={"x": "${a.x}", "y": "${a.y}"}),
        _task("c", dependencies=("a",), payload={"x": "${a}"}, reads=("out/x.csv",)),
        _task("d", reads=("out/x.csv", "elsewhere")),
        dependencies=(Dependency("b", "d"),),
    )
    assert detect(workflow) == (
        Dependency("b", "d"),
        Dependency("a", "b", "reference ${a.x}"),
        Dependency("a", "c"),
        Dependency("a", "d", "artifact out/x.csv"),
    )


def test_update_in_place() -> None:
    """A task that reads what it writes itself waits for nobody."""
    assert detect(_workflow(_task("a", reads=("x",), writes=("x",)))) == ()


@pytest.mark.parametrize(
    ("tasks", "code", "path", "words"),
    [
        (
            (_task("a", writes=("x",)), _task("b", writes=("./x",))),
            "two_writers",
            ("tasks", 1, "writes", 0),
            "'a' and 'b' both write",
        ),
        (
            (_task("fetch", "command"), _task("b", payload={"k": ["${fetch.stdot}"]})),
            "unknown_output",
            ("tasks", 1, "payload", "k", 0),
            "Did you mean 'stdout'?",
        ),
        ((_task("a", payload={"k": "${a.x}"}),), "self_dependency", ("tasks", 0, "payload", "k"), "itself"),
        ((_task("a", dependencies=("a",)),), "self_dependency", ("tasks", 0, "depends_on", 0), "itself"),
        (
            (_task("fetch"), _task("b", dependencies=("fetsh",))),
            "unknown_task",
            ("tasks", 1, "depends_on", 0),
            "Did you mean 'fetch'?",
        ),
        (
            (_task("a", payload={"k": "${HOME}/x"}),),
            "unknown_reference",
            ("tasks", 0, "payload", "k"),
            "write $${HOME}",
        ),
        (
            (_task("a", payload={"k": "${input.x}"}),),
            "unknown_reference",
            ("tasks", 0, "payload", "k"),
            "declare it under 'inputs'",
        ),
        ((_task("a", payload={"k": "${"}),), "bad_reference", ("tasks", 0, "payload", "k"), "Task 'a'"),
        ((_task("a", reads=("x", " ")),), "bad_artifact", ("tasks", 0, "reads", 1), "without a name"),
    ],
)
def test_refused(tasks: tuple[Task, ...], code: str, path: tuple[str | int, ...], words: str) -> None:
    """What cannot be is refused with its code, its place and a hint."""
    with pytest.raises(WorkflowInvalidError) as caught:
        detect(_workflow(*tasks))
    assert (caught.value.code, caught.value.path) == (code, path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("edge", "code", "end"),
    [
        (Dependency("x", "a"), "unknown_task", "from"),
        (Dependency("a", "x"), "unknown_task", "to"),
        (Dependency("a", "a"), "self_dependency", "to"),
    ],
)
def test_refused_edges(edge: Dependency, code: str, end: str) -> None:
    """A declared dependency between tasks that are not there, or of one on itself, is refused."""
    with pytest.raises(WorkflowInvalidError) as caught:
        detect(_workflow(_task("a"), dependencies=(edge,)))
    assert (caught.value.code, caught.value.path) == (code, ("dependencies", 0, end))
