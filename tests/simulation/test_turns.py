"""Goal: the judge of turns sees what still waits at its old rank, however its decision was stored.

Method: an execution of the closed model is told another order, and the history is cut as a large one is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_chaos.turns import turn_findings
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import Commit, Decision, decode_commit
from talka_protocols.messages import Recipient
from talka_protocols.subjects import LogName
from talka_protocols.workflow import ResourceRequirements, Task, Workflow

CORE = ResourceRequirements(cpu_cores=1.0)


@dataclass
class Told:
    """A history that ends with another order: what was before, and the events of that decision."""

    log: LogName
    before: list[Commit[Any]]
    commit: Commit[Any]

    def findings(self, *parts: tuple[str, slice]) -> list[str]:
        """Judge the history with only these parts of the decision, each stored for that cause."""
        events = self.commit.decisions[0].events
        commits = list(self.before)
        version = self.commit.version
        for cause, part in parts:
            kept = events[part]
            commits.append(Commit(version, self.commit.at, 1, (Decision(cause, kept),)))
            version += len(kept)
        return list(turn_findings(self.log, commits))


@pytest.fixture
def told() -> Told:
    """Return the history of three tasks that wait for one core when the last becomes the first."""
    model = Model({"w1": 1.0})
    tasks = tuple(Task(f"t{n}", AGENT_TYPE, resources=CORE, priority=n) for n in range(4))
    model.submit(Workflow("e", "e", tasks, ()))
    model.deliver_all()
    model.ask(m.ReprioritizeExecution("e", "q", strategy="priority", priority=90))
    model.deliver_all()
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    place = next(
        n
        for n, commit in enumerate(commits)
        if any(isinstance(event, e.ExecutionReprioritized) for _, _, event in commit.events())
    )
    assert len(commits[place].decisions) == 1
    return Told(player.name, commits[:place], commits[place])


def test_whole_decision_is_judged_where_it_ends(told: Told) -> None:
    """Nothing is wrong with a decision of one commit, nor with one that took two."""
    assert told.findings(("q", slice(None))) == []
    assert told.findings(("q", slice(2)), ("q", slice(2, None))) == []


def test_decision_that_was_cut_short_is_completed_by_the_next_owner(told: Told) -> None:
    """Whoever takes the log over takes back what was left, before anything else."""
    assert told.findings(("q", slice(2)), ("takeover", slice(2, None))) == []


def test_what_is_left_at_its_old_rank_is_found(told: Told) -> None:
    """A decision that ends too early is a finding: at the end, before another one, and after a takeover."""
    assert len(told.findings(("q", slice(2)))) == 1
    assert len(told.findings(("q", slice(2)), ("other", slice(2, None)))) == 1
    assert len(told.findings(("q", slice(1)), ("takeover", slice(1, 2)))) == 1
