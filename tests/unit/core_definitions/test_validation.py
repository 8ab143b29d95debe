"""Goal: what cannot run is refused, with a stable code, the place, and words that help."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import (
    ResourceRequirements,
    Task,
    Workflow,
    WorkflowConfig,
    WorkflowConstraints,
)

NAN, INF = float("nan"), float("inf")


def _refusal(workflow: Workflow, **options: Any) -> WorkflowInvalidError:
    with pytest.raises(WorkflowInvalidError) as caught:
        check(workflow, **options)
    return caught.value


def _workflow(*tasks: Task, **fields: Any) -> Workflow:
    return Workflow(id="w", name="w", tasks=tasks, **fields)


def _task(**fields: Any) -> Task:
    defaults: dict[str, Any] = {"id": "a", "agent_type": "sleep"}
    return Task(**(defaults | fields))


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("priority", -1, "priority"),
        ("priority", 101, "priority"),
        ("priority", True, "priority"),
        ("priority", "high", "priority"),
        ("priority", 1.5, "priority"),
        ("retries", 1001, "retries"),
        ("retries", -1, "retries"),
        ("timeout", 0, "timeout_seconds"),
        ("timeout", NAN, "timeout_seconds"),
        ("timeout", 1e12, "timeout_seconds"),
        ("heartbeat_timeout", 0, "heartbeat_timeout_seconds"),
        ("heartbeat_timeout", NAN, "heartbeat_timeout_seconds"),
        ("estimated_seconds", -0.1, "estimated_seconds"),
        ("estimated_seconds", INF, "estimated_seconds"),
    ],
)
def test_numbers_of_a_task(field: str, value: object, name: str) -> None:
    """A number of a task that is out of range, or none at all, is named with its bounds."""
    error = _refusal(_workflow(_task(**{field: value})))
    assert (error.code, error.path) == ("bad_number", ("tasks", 0, name))
    assert name in error.message
    assert "must be a" in error.message


@pytest.mark.parametrize(
    ("resources", "path"),
    [
        (ResourceRequirements(cpu_cores=-1), ("cpu_cores",)),
        (ResourceRequirements(memory_mb=NAN), ("memory_mb",)),
        (ResourceRequirements(disk_mb=INF), ("disk_mb",)),
        (ResourceRequirements(gpu_count=0.5), ("gpu_count",)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (ResourceRequirements(custom_resources={"licence": -1}), ("custom_resources", "licence")),
    ],
)
def test_numbers_of_resources(resources: ResourceRequirements, path: tuple[str, ...]) -> None:
    """Requirements are finite and not negative."""
    error = _refusal(_workflow(_task(resources=resources)))
    assert (error.code, error.path) == ("bad_number", ("tasks", 0, "resources", *path))


def test_custom_resource_named_like_a_fixed_one() -> None:
    """A custom resource cannot hide a built-in one."""
    error = _refusal(_workflow(_task(resources=ResourceRequirements(custom_resources={"cpu_cores": 1}))))
    assert error.code == "bad_resource"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"config": WorkflowConfig(max_parallel=0)}, ("max_parallel",)),
        ({"config": WorkflowConfig(timeout=-1)}, ("timeout_seconds",)),
        ({"constraints": WorkflowConstraints(max_seconds=0)}, ("max_seconds",)),
        ({"constraints": WorkflowConstraints(max_tasks=0)}, ("max_tasks",)),
    ],
)
def test_numbers_of_the_workflow(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    """The workflow's own numbers are bounded as well."""
    error = _refusal(_workflow(_task(), **fields))
    assert (error.code, error.path) == ("bad_number", path)


@pytest.mark.parametrize(
    "task_id", ["", "a b", "a\n", "a\t", "x" * 201, "$a", "{a", "a}", "a\x00", "\u200b", 5, None]
)
def test_odd_ids(task_id: Any) -> None:
    """An id that could not be shown or referred to is refused."""
    error = _refusal(_workflow(_task(id=task_id)))
    assert (error.code, error.path) == ("bad_id", ("tasks", 0, "id"))


@pytest.mark.parametrize("task_id", ["a", "A.b-c_d:e/f", "x" * 200, "größe", "集計", "a@b#1"])
def test_good_ids(task_id: str) -> None:
    """Any other printable id is fine, whatever its script."""
    assert check(_workflow(_task(id=task_id))).tasks[0].id == task_id


def test_counts() -> None:
    """No tasks are refused, and so are more than the limit, with the flag that raises it."""
    assert _refusal(_workflow()).code == "no_tasks"
    tasks = tuple(_task(id=f"t{i}") for i in range(1001))
    error = _refusal(_workflow(*tasks))
    assert error.code == "too_many_tasks"
    assert "1,000" in error.message
    assert "--max-tasks 1001" in error.hint
    assert len(check(_workflow(*tasks, constraints=WorkflowConstraints(max_tasks=1001))).tasks) == 1001


def test_duplicates_and_reserved() -> None:
    """Two tasks of one id are named by their positions; 'input' is reserved."""
    error = _refusal(_workflow(_task(), _task(id="b"), _task()))
    assert (error.code, error.path) == ("duplicate_id", ("tasks", 2, "id"))
    assert "tasks number 1 and 3" in error.message
    assert _refusal(_workflow(_task(id="input"))).code == "bad_id"


def test_agent_types() -> None:
    """An unknown agent type is refused only against a list, with what was probably meant."""
    workflow = _workflow(_task(agent_type="pyton"))
    assert check(workflow).tasks[0].agent_type == "pyton"
    error = _refusal(workflow, agent_types=frozenset({"python", "sleep"}))
    assert (error.code, error.path) == ("unknown_agent_type", ("tasks", 0, "agent_type"))
    assert "Did you mean 'python'?" in error.hint
    assert _refusal(_workflow(_task(agent_type=" "))).code == "unknown_agent_type"


def test_ceiling() -> None:
    """A requirement above every worker's offer names the task, the resource, what is asked and offered."""
    needs = ResourceRequirements(cpu_cores=64, custom_resources={"licence": 2})
    workflow = _workflow(_task(resources=needs))
    error = _refusal(workflow, ceiling={"cpu_cores": 16.0, "licence": 2.0})
    assert (error.code, error.path) == ("impossible_resources", ("tasks", 0, "resources", "cpu_cores"))
    assert "'a' asks for 64 cpu_cores, but the largest worker offers 16" in error.message
    error = _refusal(workflow, ceiling={"cpu_cores": 64.0})
    assert error.path == ("tasks", 0, "resources", "custom_resources", "licence")
    assert check(workflow, ceiling={"cpu_cores": 64.0, "licence": 2.0})


def test_cycle() -> None:
    """A cycle is named with the reason of each of its dependencies."""
    tasks = (
        _task(id="a", payload={"x": "${c.y}"}),
        _task(id="b", dependencies=("a",)),
        _task(id="c", reads=("f",)),
        _task(id="d", dependencies=("b",), writes=("f",)),
    )
    error = _refusal(_workflow(*tasks))
    assert (error.code, error.path) == ("cycle", ("tasks", 0))
    assert "a -> b -> d -> c -> a" in error.message
    assert "c needs d (artifact f)" in error.hint
    assert "a needs c (reference ${c.y})" in error.hint


def test_payload_limits() -> None:
    """A payload that is too large, too deep or no JSON is refused by name."""
    deep: Any = "x"
    for _ in range(64):
        deep = [deep]
    assert _refusal(_workflow(_task(payload={"k": "x" * 600_000}))).code == "payload_too_large"
    assert _refusal(_workflow(_task(payload={"k": [0] * 600_000}))).code == "payload_too_large"
    assert _refusal(_workflow(_task(payload={"k": deep}))).code == "too_deep"
    assert check(_workflow(_task(payload={"k": deep[0]})))


@pytest.mark.parametrize("value", [NAN, INF, {1: 2}, {"x": {1, 2}}, b"x", object(), "\ud800"])
def test_payload_is_json(value: object) -> None:
    """What JSON cannot say exactly is refused and not rounded."""
    assert _refusal(_workflow(_task(payload={"k": [value]}))).code == "not_json"


def test_recursive_payload() -> None:
    """A payload that holds itself is refused and not followed for ever."""
    payload: dict[str, Any] = {}
    payload["self"] = payload
    assert _refusal(_workflow(_task(payload=payload))).code == "too_deep"


@pytest.mark.parametrize(
    "fields", [{"payload": []}, {"resources": {}}, {"labels": {"k": 1}}, {"reads": "abc"}]
)
def test_wrong_types(fields: dict[str, Any]) -> None:
    """Values of the wrong type are refused although Python let them in."""
    assert _refusal(_workflow(_task(**fields))).code == "wrong_type"


@pytest.mark.parametrize("field", ["timeout", "heartbeat_timeout"])
def test_what_runs_on_no_worker_has_no_attempt_to_stop(field: str) -> None:
    """A wait is ended by the scheduler, so limits on its attempts are refused at their place."""
    fields: dict[str, Any] = {"agent_type": "wait", "payload": {"seconds": 1}, field: 5.0}
    error = _refusal(_workflow(_task(**fields)))
    assert (error.code, error.path) == ("unknown_field", ("tasks", 0, f"{field}_seconds"))
    assert "runs on no worker" in error.message


def test_sleep_seconds() -> None:
    """A negative sleep is refused; a reference in its place is not a number yet."""
    assert _refusal(_workflow(_task(payload={"seconds": -1}))).code == "bad_number"
    assert check(_workflow(_task(payload={"seconds": "${b}"}), _task(id="b")))


def test_names() -> None:
    """A workflow has a name and an id."""
    assert _refusal(replace(_workflow(_task()), name=" ")).code == "bad_name"
    assert _refusal(replace(_workflow(_task()), id="a b")).code == "bad_id"


def test_detached() -> None:
    """Changing the caller's payload later does not change the workflow."""
    payload = {"k": [1]}
    checked = check(_workflow(_task(payload=payload)))
    payload["k"].append(2)
    assert checked.tasks[0].payload == {"k": [1]}


def test_long_runs_are_fine() -> None:
    """A critical path beyond the time limit is no error: expiry is resumable."""
    assert check(_workflow(_task(payload={"seconds": 100_000})))
