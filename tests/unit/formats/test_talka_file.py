"""Goal: Talka files load into workflows and back, and every mistake is named where it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.builder import WorkflowBuilder
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, ResourceRequirements, Strategy, Task, TaskType, Workflow
from talka_services.formats import dump_yaml, load, to_document

FULL = """\
talka: 1
name: full
max_parallel: 8
timeout_seconds: 600
strategy: breadth_first
pool: big
metadata: {owner: me}
tasks:
  - id: fetch
    name: Fetch it
    agent_type: command
    type: network
    payload: {argv: [curl, x]}
    resources: {cpu_cores: 0.5, memory_mb: 256, custom_resources: {licence: 1}}
    priority: 70
    timeout_seconds: 60
    retries: 3
    writes: [out.txt]
    estimated_seconds: 12
    labels: {team: blue}
  - id: parse
    agent_type: python
    payload: {call: "m:f", arguments: {text: "${fetch.stdout}"}}
    depends_on: [setup]
  - {id: setup, agent_type: sleep, payload: {seconds: 1}, reads: [out.txt]}
dependencies:
  - {from: fetch, to: setup}
"""


def _refusal(text: str, **options: Any) -> WorkflowInvalidError:
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text, file_name="w.yaml", **options)
    return caught.value


def test_all_fields() -> None:
    """Every field of the file arrives in the workflow."""
    workflow = load(FULL)
    assert (workflow.name, workflow.metadata) == ("full", {"owner": "me"})
    config = workflow.config
    assert (config.max_parallel, config.timeout, config.strategy, config.pool) == (
        8,
        600,
        Strategy.BREADTH_FIRST,
        "big",
    )
    fetch = workflow.tasks[0]
    assert fetch == Task(
        id="fetch",
        agent_type="command",
        name="Fetch it",
        type=TaskType.NETWORK,
        payload={"argv": ["curl", "x"]},
        resources=ResourceRequirements(cpu_cores=0.5, memory_mb=256, custom_resources={"licence": 1}),
        priority=70,
        timeout=60,
        retries=3,
        writes=("out.txt",),
        estimated_seconds=12,
        labels={"team": "blue"},
    )
    assert workflow.dependencies == (
        Dependency("fetch", "setup"),
        Dependency("setup", "parse"),
        Dependency("fetch", "parse", "reference ${fetch.stdout}"),
    )


def test_json_is_the_same() -> None:
    """The same document as JSON gives the same workflow."""
    document = to_document(load(FULL))
    assert load(json.dumps(document), file_name="w.json") == load(FULL)


def test_limits() -> None:
    """The limits come from the caller and are kept with the workflow."""
    assert load(FULL, max_tasks=3, max_seconds=7200).constraints.max_seconds == 7200
    error = _refusal(FULL, max_tasks=2)
    assert (error.code, error.line) == ("too_many_tasks", 9)


START = "talka: 1\nname: x\ntasks:\n  - id: a\n    agent_type: sleep\n"


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("name: x\n", "missing_field", (1, 1), "talka: 1"),
        ("talka: 2\nname: x\n", "unknown_version", (1, 8), "reads version 1"),
        ("talka: true\nname: x\n", "unknown_version", (1, 8), "version"),
        ("talka: 1\nname: x\n", "missing_field", (1, 1), "has no 'tasks'"),
        ("talka: 1\nname: x\ntasks: []\n", "no_tasks", (3, 8), "no tasks"),
        ("talka: 1\nname: x\ntasks: {a: b}\n", "wrong_type", (3, 8), "must be a list, not keys with values"),
        ("talka: 1\nname: x\ntask: []\n", "unknown_field", (3, 1), "Did you mean 'tasks'?"),
        ("talka: 1\nname: x\ntasks: [a]\n", "wrong_type", (3, 9), "Task number 1 must be keys with values"),
        (
            START + "    retriees: 3\n",
            "unknown_field",
            (6, 5),
            "Task 'a' has no field 'retriees'. Did you mean 'retries'?",
        ),
        (
            START + "    retries: many\n",
            "wrong_type",
            (6, 14),
            "The retries of task 'a' must be a whole number",
        ),
        (START + "    priority: '50'\n", "wrong_type", (6, 15), "Remove the quotes"),
        (START + "    priority: 500\n", "bad_number", (6, 15), "from 0 to 100"),
        (START + "    timeout_seconds: -1\n", "bad_number", (6, 22), "above 0"),
        (START + "    type: cpu\n", "unknown_choice", (6, 11), "compute, io, network, hybrid"),
        (START + "    depends_on: b\n", "wrong_type", (6, 17), "brackets"),
        (START + "    depends_on: [b]\n", "unknown_task", (6, 18), "no task has this id"),
        (START + "    depends_on: [a]\n", "self_dependency", (6, 18), "itself"),
        (START + "    labels: {n: 5}\n", "wrong_type", (6, 13), "quotes"),
        (START + "    resources: {cpus: 1}\n", "unknown_field", (6, 17), "cpu_cores"),
        (START + "    resources: {cpu_cores: .nan}\n", "bad_number", (6, 28), "cpu_cores"),
        (START + "    payload: {x: ['${b.c}']}\n", "unknown_reference", (6, 19), "no task has the id 'b'"),
        (START + "  - agent_type: sleep\n", "missing_field", (6, 5), "Task number 2 has no 'id'"),
        (START + "  - {id: 5, agent_type: sleep}\n", "wrong_type", (6, 10), "Put it in quotes"),
        (START + "  - {id: a, agent_type: sleep}\n", "duplicate_id", (6, 10), "used twice"),
        (START + "strategy: fastest\n", "unknown_choice", (6, 11), "breadth_first"),
        (START + "dependencies: [{from: a, too: b}]\n", "unknown_field", (6, 26), "Did you mean 'to'?"),
        (START + "dependencies: [{from: a, to: b}]\n", "unknown_task", (6, 30), "'b'"),
        (
            START + "    depends_on: [b]\n  - {id: b, agent_type: sleep, depends_on: [a]}\n",
            "cycle",
            (4, 5),
            "a -> b -> a",
        ),
    ],
)
def test_mistakes(text: str, code: str, place: tuple[int, int], words: str) -> None:
    """Each mistake has its code, its line and column, and says what to do."""
    error = _refusal(text)
    assert (error.code, error.file, error.line, error.column) == (code, "w.yaml", *place)
    assert words in f"{error.message} {error.hint}"


def test_mistake_in_json() -> None:
    """Mistakes in JSON have their place too."""
    text = '{"talka": 1, "name": "x",\n "tasks": [{"id": "a", "agent_type": "sleep", "prio": 1}]}'
    with pytest.raises(WorkflowInvalidError) as caught:
        load(text, file_name="w.json")
    assert str(caught.value) == ("w.json:2:47: Task 'a' has no field 'prio'. Did you mean 'priority'?")


def test_dump_leaves_out_what_is_detected() -> None:
    """A dumped file has neither a derived id, nor defaults, nor detected dependencies."""
    tasks = "[{id: a, agent_type: x}, {id: b, agent_type: x, payload: {k: '${a}'}}]"
    workflow = load(f"talka: 1\nname: x\ntasks: {tasks}\n")
    assert set(to_document(workflow)) == {"talka", "name", "tasks"}
    named = WorkflowBuilder("x", id="mine").add_task(Task("a", "sleep")).build()
    assert to_document(named)["id"] == "mine"


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "1e3",
        "010",
        "0o17",
        "no",
        "~",
        "<<",
        "=",
        "${x",
        "$${a}",
        "${input.k}",
        "$${input.k}",
        "- a",
        "a: b",
        "\x85",
        "\ufeff",
    ]
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
coins = st.booleans()
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Draw a checked workflow whose texts are chosen to be awkward for YAML."""
    builder = WorkflowBuilder(draw(names)).set_metadata(draw(st.dictionaries(texts, json_values, max_size=2)))
    count = draw(st.integers(1, 4))
    for position in range(count):
        earlier = [f"t.{i}" for i in range(position)]
        needs: list[str] = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        # Braces after a dollar would be references; those are drawn on purpose below.
        payload: dict[str, Any] = {"value": json.loads(json.dumps(draw(json_values)).replace("${", "$(("))}
        if draw(coins) and earlier:
            payload["reference"] = f"x ${{{draw(st.sampled_from(earlier))}.y}}"
        payload["escaped"] = "$${input.k} $${HOME}"
        builder.add_task(
            Task(
                id=f"t.{position}",
                agent_type="agent",
                name=draw(texts),
                type=draw(st.sampled_from(TaskType)),
                payload=payload,
                dependencies=tuple(needs),
                timeout=draw(st.none() | st.floats(0.001, 1e6)),
                reads=tuple(draw(st.lists(names, max_size=2))),
                writes=(f"file-{position}",),
                labels=draw(st.dictionaries(texts, texts, max_size=2)),
            )
        )
    if count > 1 and draw(coins):
        builder.add_dependency("t.0", f"t.{count - 1}")
    return builder.build()


@settings(max_examples=60, deadline=None)
@given(workflows())
def test_round_trip(workflow: Workflow) -> None:
    """What was dumped loads as the same workflow, from YAML and from JSON."""
    assert load(dump_yaml(workflow), file_name="w.yaml") == workflow
    assert load(json.dumps(to_document(workflow)), file_name="w.json") == workflow
