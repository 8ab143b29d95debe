"""Fields of payloads that an executor would refuse are refused before anything starts."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from talka_core.payload_fields import FIELDS, NEEDED, check_fields
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action
from talka_protocols.workflow import Task, Workflow
from talka_services.executors.command import CommandPayload
from talka_services.executors.http import HttpPayload
from talka_services.executors.nats import NatsPayload
from talka_services.executors.python import PythonPayload
from talka_services.executors.sleep import SleepPayload


@pytest.mark.parametrize(
    ("agent_type", "payload"),
    [
        ("command", CommandPayload),
        ("http", HttpPayload),
        ("nats", NatsPayload),
        ("python", PythonPayload),
        ("sleep", SleepPayload),
    ],
)
def test_fields_are_those_that_the_executors_read(agent_type: str, payload: type[Struct]) -> None:
    """What is refused early and what an executor takes cannot drift apart."""
    assert FIELDS[agent_type] == payload.__struct_fields__


@pytest.mark.parametrize(
    ("agent_type", "payload", "hint"),
    [
        ("command", {"argvv": ["ls"]}, "Did you mean 'argv'?"),
        ("python", {"call": "m:f", "args": {}}, "Did you mean 'arguments'?"),
        ("sleep", {"second": 1}, "Did you mean 'seconds'?"),
    ],
)
def test_an_unknown_field_is_refused_at_its_place(
    agent_type: str, payload: dict[str, Any], hint: str
) -> None:
    """The message names the task and the field, and what was probably meant."""
    workflow = Workflow(id="w", name="w", tasks=(Task("a", agent_type, payload=payload),))
    with pytest.raises(WorkflowInvalidError) as caught:
        check_fields(workflow)
    wrong = next(name for name in payload if name not in FIELDS[agent_type])
    assert (caught.value.code, caught.value.path) == ("bad_payload", ("tasks", 0, "payload", wrong))
    assert caught.value.message == f"Task 'a': The payload of a {agent_type} task has no field {wrong!r}."
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("agent_type", "payload", "lacks"),
    [
        ("command", {"cwd": "/tmp"}, "'argv' or 'shell'"),
        ("http", {"method": "GET"}, "'url'"),
        ("nats", {"server": "nats://localhost"}, "'subject'"),
        ("python", {}, "'call'"),
        ("sleep", {"result": 1}, "'seconds'"),
    ],
)
def test_a_field_that_is_lacking_is_asked_for(agent_type: str, payload: dict[str, Any], lacks: str) -> None:
    """The message names the task and what its payload needs."""
    workflow = Workflow(id="w", name="w", tasks=(Task("a", agent_type, payload=payload),))
    with pytest.raises(WorkflowInvalidError) as caught:
        check_fields(workflow)
    assert caught.value.message == f"Task 'a': The payload of a {agent_type} task lacks {lacks}."
    assert caught.value.path == (("tasks", 0, "payload") if payload else ("tasks", 0))


def test_what_is_needed_is_a_field() -> None:
    """A field that an executor gives up is asked for no more."""
    for agent_type, needed in NEEDED.items():
        assert set(needed) <= set(FIELDS[agent_type])


@pytest.mark.parametrize("name", ["fallback", "compensation"])
def test_what_runs_in_a_tasks_name_is_looked_at_too(name: str) -> None:
    """A misspelt compensation would be found out when it is needed most."""
    action = Action("command", {"args": ["ls"]})
    below = Workflow(id="b", name="b", tasks=(replace(Task("inner", "greeting"), **{name: action}),))
    workflow = Workflow(id="w", name="w", tasks=(Task("a", "workflow", workflow=below),))
    with pytest.raises(WorkflowInvalidError) as caught:
        check_fields(workflow)
    place = ("tasks", 0, "workflow", "tasks", 0, name, "payload", "args")
    assert caught.value.path == place
    assert caught.value.message.startswith(f"The {name} of task 'inner'")


def test_executors_of_others_have_fields_of_their_own() -> None:
    """Nothing is known of them, so nothing is refused."""
    workflow = Workflow(id="w", name="w", tasks=(Task("a", "greeting", payload={"name": "Ama"}),))
    assert check_fields(workflow) is workflow
