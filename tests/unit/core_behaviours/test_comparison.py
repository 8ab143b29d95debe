"""Goal: two executions are compared by what was done, not by when and where."""

from __future__ import annotations

from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.comparison import compare
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import Dependency, Task, Workflow


def _ran(fails: str = "", **options: Any) -> tuple[Any, list[Any]]:
    """Run ``a`` and then ``b``, and return the state and the numbered events."""
    tasks = (Task("a", AGENT_TYPE), Task("b", AGENT_TYPE, **options))
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, (Dependency("a", "b"),)))
    for task_id in "ab":
        while model.soup:
            model.deliver(0)
        run = next((run for run in model.running if run[2] == task_id), None)
        if run is not None:
            model.now_ms += 1_000
            model.begin(run)
            model.now_ms += 500
            model.end(run, Outcome.FAILED if task_id == fails else Outcome.SUCCEEDED)
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return player.state, [(version, event) for commit in commits for version, _, event in commit.events()]


def test_equal_runs_do_not_part() -> None:
    """Two runs of the same workflow that went the same way differ in nothing."""
    (one, events), (other, more) = _ran(), _ran()
    found = compare(one, other, events, more)
    assert (found.parting, found.changed, found.results, found.added, found.removed) == (None, {}, (), (), ())


def test_runs_part_at_the_first_event_that_differs() -> None:
    """A failure is where they part; results and definitions that differ are named, and the time is told."""
    (one, events), (other, more) = _ran(), _ran("b", priority=90)
    found = compare(one, other, events, more)
    assert found.parting is not None
    assert found.parting.first_event is not None
    assert found.parting.second_event is not None
    assert found.parting.first_event["type"] == "TaskSucceeded"
    assert found.parting.second_event["type"] == "TaskFailed"
    assert found.changed == {"b": ("priority",)}
    assert found.results == ("b",)
    assert [(spent.task_id, spent.first_ran_s) for spent in found.spent] == [("a", 0.5), ("b", 0.5)]
