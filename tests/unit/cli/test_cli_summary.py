"""Goal: what a summary tells to type next finds the execution from where it was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_protocols.results import WorkflowResult
from talka_protocols.states import ExecutionState
from talka_services.cli.command import Target
from talka_services.cli.report import print_summary


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (Target(), ""),
        (Target(data_dir=Path("my data")), " --data-dir 'my data'"),
        (Target(server="nats://h:4222", namespace="lab"), " --server nats://h:4222 --namespace lab"),
    ],
)
def test_the_next_commands_look_at_the_same_place(
    target: Target, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever command ended with the summary: the same server or directory, and namespace."""
    print_summary(WorkflowResult("x1", "bread", ExecutionState.SUCCEEDED, {}), target)
    assert f"look: talka events x1{options}\n" in capsys.readouterr().out
