"""Goal: two executions are compared by what was done, not by when and where."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.comparison import compare
from talka_protocols.commit import decode_commit
from talka_protocols.events import TaskUsageMeasured, Usage
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import Dependency, Task, Workflow


def _ran(fails: str = "", worker: str = "w1", found: Any = None, **options: Any) -> tuple[Any, list[Any]]:
    """Run ``a``, which returns what it ``found``, and ``b``; return the state and the numbered events."""
    tasks = (Task("a", AGENT_TYPE), Task("b", AGENT_TYPE, **options))
    model = Model({worker: 8.0})
    model.submit(Workflow("e", "e", tasks, (Dependency("a", "b"),)))
    for task_id in (*"ab", *fails) if options.get("retries") else "ab":
        model.deliver_all()
        for timer in [timer for timer in model.timers if timer[2].startswith("retry")]:
            model.fire(timer)
        model.deliver_all()
        run = next((run for run in model.running if run[2] == task_id), None)
        if run is not None:
            model.now_ms += 1_000
            model.begin(run)
            model.now_ms += 500
            is_failing = task_id == fails and run[3] == 1
            used = Usage(wall_ms=500, memory_mb=float(worker[1:]))
            outcome = Outcome.FAILED if is_failing else Outcome.SUCCEEDED
            model.end(run, outcome, Raw(msgspec.json.encode(found)), usage=used)
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return player.state, [(version, event) for commit in commits for version, _, event in commit.events()]


def test_equal_runs_do_not_part() -> None:
    """Where and with how much memory the same things were done is no difference in what was done."""
    (one, events), (other, more) = _ran(), _ran(worker="w20")
    assert any(isinstance(event, TaskUsageMeasured) for _, event in events)
    found = compare(one, other, events, more)
    assert (found.parting, found.changed, found.results, found.added, found.removed) == (None, {}, (), (), ())
    assert found.inputs == {}


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


def test_inputs_that_changed_are_named() -> None:
    """Of two references to a result only that which stands for another value now is an input that changed."""
    payload = {"n": "${a.n}", "name": "${a.name}"}
    (one, events), (other, more) = (_ran(found={"n": n, "name": "x"}, payload=payload) for n in (1, 2))
    found = compare(one, other, events, more)
    assert (found.changed, found.inputs) == ({}, {"b": ("a.n",)})
    assert found.parting is not None
    assert found.parting.first_event is not None
    assert found.parting.first_event["result"] == {"n": 1, "name": "x"}


def test_time_of_every_attempt_counts() -> None:
    """A task that failed once and was tried again ran twice as long, in two attempts, after a wait."""
    (one, events), (other, more) = _ran(retries=1), _ran("b", retries=1)
    (_, spent) = compare(one, other, events, more).spent
    assert (spent.first_attempts, spent.second_attempts) == (1, 2)
    assert (spent.first_ran_s, spent.second_ran_s) == (0.5, 1.0)
    assert spent.first_waited_s == 1.0
