"""What the gateway says of tasks."""

from __future__ import annotations

import msgspec
import pytest

from talka_protocols.events import Usage
from talka_protocols.results import TaskResult
from talka_protocols.states import TaskStatus
from talka_services.cli.report import usage_document
from talka_services.gateway.documents import task_document


@pytest.mark.parametrize(
    "usage", [None, Usage(795), Usage(795, 19, 48.2), Usage(795, 19, 48.2, gpus=1, gpu_memory_mb=512.0)]
)
def test_it_says_of_usage_what_the_command_line_says(usage: Usage | None) -> None:
    """Of graphics processors neither says anything where a task used none."""
    task = TaskResult("t", TaskStatus.SUCCEEDED, usage=usage)
    said = msgspec.to_builtins(task_document(task))
    assert {key: said[key] for key in ("usage",) if key in said} == usage_document(task)
