"""Goal: nobody goes back over what cannot be undone without having been shown it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from talka_protocols.policies import Then
from talka_protocols.results import RollbackPlan, WorkflowResult
from talka_protocols.states import ExecutionState
from talka_services.cli import rewinding
from talka_services.cli.main import app

ROLLBACK = ["rollback", "e", "--to", "3", "--then", "stop"]


class Asked:
    """What was asked of the orchestrator."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, ...]] = []

    async def rollback(self, *about: Any, then: Then, accept_irreversible: bool) -> None:
        """Note it."""
        self.requests.append((*about, then, accept_irreversible))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A terminal, an execution whose task ``tell`` cannot be undone, and a platform that notes requests."""
    found = Asked()

    async def plan(*_about: Any) -> RollbackPlan:
        return RollbackPlan(3, again=("tell",), irreversible=("tell",))

    async def act(_target: Any, execution_id: str, ask: Any, *_about: Any, **_more: Any) -> WorkflowResult:
        await ask(found)
        return WorkflowResult(execution_id, "w", ExecutionState.ROLLED_BACK)

    monkeypatch.setattr(rewinding, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr(rewinding, "_plan", plan)
    monkeypatch.setattr(rewinding, "_asked", act)
    return found


def test_a_person_is_shown_what_stays_and_asked(asked: Asked) -> None:
    """Who says no has changed nothing; who says yes has accepted it."""
    refused = CliRunner().invoke(app, ROLLBACK, input="n\n")
    assert (refused.exit_code, asked.requests) == (1, [])
    assert "What tell did stays: nothing can undo it." in refused.output
    agreed = CliRunner().invoke(app, ROLLBACK, input="y\n")
    assert (agreed.exit_code, asked.requests) == (0, [("e", 3, Then.STOP, True)]), agreed.output


@pytest.mark.parametrize(("flag", "accepts"), [("--accept-irreversible", True), ("--json", False)])
def test_who_has_decided_is_not_asked(asked: Asked, flag: str, accepts: bool) -> None:
    """The flag is the answer; a script gets none, and the scheduler's refusal."""
    done = CliRunner().invoke(app, [*ROLLBACK, flag])
    assert (done.exit_code, asked.requests) == (0, [("e", 3, Then.STOP, accepts)]), done.output
    assert "Go on?" not in done.output
