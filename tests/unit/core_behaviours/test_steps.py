"""Goal: what is shown of each event is what the live actor's state changed by it."""

from __future__ import annotations

from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.history import FOLDS, apply, packed
from talka_core.steps import steps
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Recipient
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Dependency, Task, Workflow


def test_any_event_folds_to_the_state_that_the_live_actor_had() -> None:
    """After every message the live state is kept; folded to the same event, the log gives the same."""
    model = Model({"w1": 2.0})
    tasks = tuple(Task(task_id, AGENT_TYPE) for task_id in "abcd")
    edges = (Dependency("a", "c"), Dependency("b", "c"), Dependency("c", "d"))
    model.submit(Workflow("e", "e", tasks, edges))
    lived: dict[int, bytes] = {}
    fold = FOLDS[EXECUTION]
    tell = model.tell

    def watched(to: Recipient, message: Any, cut: int | None = None) -> None:
        tell(to, message, cut)
        player = model.players.get((Recipient.SCHEDULER, "e"))
        if player is not None:
            lived[player.state.version] = packed(fold, player.state)

    model.tell = watched  # type: ignore[method-assign]
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    assert len(lived) > 5
    for version, body in lived.items():
        assert packed(fold, apply(fold, fold.initial("e"), commits, version)) == body, version


def test_steps_add_up_to_the_end() -> None:
    """Every change begins where the last one of its task ended, and the last ones are the final statuses."""
    model = Model({"w1": 2.0})
    model.submit(Workflow("e", "e", tuple(Task(task_id, AGENT_TYPE) for task_id in "abc")))
    model.finish()
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    statuses: dict[str, str] = {}
    execution = ""
    found = list(steps("e", commits))
    assert [step.version for step in found] == list(range(1, player.state.version + 1))
    for step in found:
        for task_id, (before, after) in step.tasks.items():
            assert statuses.get(task_id, "") == before
            statuses[task_id] = after
        if step.execution:
            assert step.execution[0] == execution
            execution = step.execution[1]
    assert statuses == {task_id: record.status.value for task_id, record in player.state.tasks.items()}
    assert execution == player.state.status.value
