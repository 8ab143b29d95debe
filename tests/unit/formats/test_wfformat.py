"""Goal: measured traces import with their real graph, and finished executions export to the same graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talka_core.builder import WorkflowBuilder
from talka_core.graph import plan
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import ResourceRequirements, Task, Workflow
from talka_services.formats import TaskTimes, export_wfformat, load, machines, read_file

DATA = Path(__file__).parents[2] / "data" / "wfinstances"
BACASS = DATA / "nextflow-bacass-dirt02-001.json"
SRA = DATA / "pegasus-srasearch-chameleon-10a-001.json"


def _edges(workflow: Workflow) -> set[tuple[str, str]]:
    return {(edge.from_task, edge.to_task) for edge in workflow.dependencies}


@pytest.mark.parametrize(
    ("file", "tasks", "edges", "critical", "bound"),
    [(BACASS, 11, 14, 2150.0, 3961.9), (SRA, 22, 30, 1005.9, 1005.9)],
)
def test_import(file: Path, tasks: int, edges: int, critical: float, bound: float) -> None:
    """A trace has the published numbers of tasks and edges, critical path and bound on its machines."""
    workflow = load(file)
    offered = machines(read_file(file).value)
    assert (len(workflow.tasks), len(workflow.dependencies)) == (tasks, edges)
    made = plan(workflow, {"cpu_cores": sum(machine["cpu_cores"] for machine in offered)})
    assert made.estimated_duration == pytest.approx(critical, abs=0.06)
    assert made.lower_bound == pytest.approx(bound, abs=0.06)


def test_tasks_fit_the_machines() -> None:
    """Memory is asked for where the machines tell theirs; otherwise nobody could offer it."""
    assert machines(read_file(BACASS).value) == [{"cpu_cores": 1.0}]
    assert all(task.resources.memory_mb == 0 for task in load(BACASS).tasks)
    (machine,) = machines(read_file(SRA).value)
    assert machine["cpu_cores"] == 48
    needs = [task.resources for task in load(SRA).tasks]
    assert all(need.cpu_cores == 1 and 0 < need.memory_mb <= machine["memory_mb"] for need in needs)


def _instance(*tasks: dict[str, Any], **execution: Any) -> str:
    filled: list[dict[str, Any]] = [
        {"name": task["id"], "parents": [], "children": []} | task for task in tasks
    ]
    workflow: dict[str, Any] = {"specification": {"tasks": filled}}
    if execution:
        workflow["execution"] = execution
    return json.dumps({"name": "i", "schemaVersion": "1.5", "workflow": workflow}, indent=1)


def test_children_count_as_edges() -> None:
    """An edge that only the parent tells is an edge, and one told by both counts once."""
    text = _instance({"id": "a", "children": ["b", "c"]}, {"id": "b", "parents": ["a"]}, {"id": "c"})
    assert _edges(load(text)) == {("a", "b"), ("a", "c")}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (_instance({"id": "a", "parents": ["x"]}), "unknown_task", "'x' in its parents"),
        (_instance({"id": "a"}, {"id": "a"}), "duplicate_id", "used twice"),
        (_instance({"id": "a b"}), "bad_id", "character ' '"),
        (_instance({"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}), "cycle", "a -> b -> a"),
        (_instance({"id": "a", "parents": ["a"]}), "self_dependency", "itself"),
        (
            _instance({"id": "a"}, tasks=[{"id": "a", "runtimeInSeconds": -1}]),
            "bad_number",
            "estimated_seconds",
        ),
        (_instance({"id": "a"}, tasks=[{"id": "a", "runtimeInSeconds": "x"}]), "wrong_type", "expected"),
        ('{"name": "x", "schemaVersion": "1.3", "workflow": {"tasks": []}}', "unknown_version", "1.5"),
    ],
)
def test_refused(text: str, code: str, words: str) -> None:
    """A trace that cannot run is refused at its own place in the file."""
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text, file_name="i.json")
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.line is not None


def test_place_of_an_unknown_parent() -> None:
    """The line is that of the name in the instance."""
    text = _instance({"id": "a", "parents": ["zzz"]})
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text)
    assert caught.value.line is not None
    assert '"zzz"' in text.splitlines()[caught.value.line - 1]


def test_no_inputs() -> None:
    """A trace takes no inputs."""
    with pytest.raises(WorkflowInvalidError, match="takes no inputs"):
        load(BACASS, inputs={"a": "1"})


def test_export_and_import_again() -> None:
    """An exported execution imports with the same graph, run times, cores and machines."""
    workflow = load(SRA)
    times = {task.id: TaskTimes(1000.0, 1000.0 + task.payload["seconds"], "w1") for task in workflow.tasks}
    document = export_wfformat(workflow, times, {"w1": {"cpu_cores": 48.0, "memory_mb": 4096.0}})
    again = load(json.dumps(document))
    assert _edges(again) == _edges(workflow)
    for before, after in zip(workflow.tasks, again.tasks, strict=True):
        assert after.payload["seconds"] == pytest.approx(before.payload["seconds"])
        assert after.resources.cpu_cores == before.resources.cpu_cores
        assert after.resources.memory_mb == pytest.approx(before.resources.memory_mb, abs=0.001)
    assert machines(document) == [{"cpu_cores": 48.0, "memory_mb": 4096.0}]
    execution = document["workflow"]["execution"]
    assert execution["makespanInSeconds"] == pytest.approx(max(t.payload["seconds"] for t in workflow.tasks))
    assert execution["executedAt"] == "1970-01-01T00:16:40+00:00"


def test_export_of_odd_names() -> None:
    """Ids, files and workers that WfFormat does not allow get distinct allowed ones, and names keep them."""
    workflow = (
        WorkflowBuilder("odd")
        .add_task(Task("a:b", "sleep", writes=("out/x",), resources=ResourceRequirements(cpu_cores=0.5)))
        .add_task(Task("a_b", "sleep", dependencies=("a:b",)))
        .add_task(Task("a/b", "sleep", name="third", reads=("out/x",)))
        .build()
    )
    times = {"a:b": TaskTimes(1.0, None, "host:1"), "a_b": TaskTimes(None, None)}
    document = export_wfformat(workflow, times)
    tasks = document["workflow"]["specification"]["tasks"]
    assert [(t["id"], t["name"], t["parents"]) for t in tasks] == [
        ("a_b_2", "a:b", []),
        ("a_b", "a_b", ["a_b_2"]),
        ("a_b_3", "third", ["a_b_2"]),
    ]
    assert document["workflow"]["specification"]["files"] == [{"id": "out_x", "sizeInBytes": 0}]
    (ran,) = document["workflow"]["execution"]["tasks"]
    assert (ran["runtimeInSeconds"], ran["coreCount"], ran["machines"]) == (0.0, 1.0, ["host_1"])


def test_export_of_nothing() -> None:
    """An execution in which nothing started has nothing to export."""
    workflow = WorkflowBuilder("w").add_task(Task("a", "sleep")).build()
    with pytest.raises(WorkflowInvalidError, match="nothing to export"):
        export_wfformat(workflow, {"a": TaskTimes(None, None)})
