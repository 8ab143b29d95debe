"""Goal: a start is expected at the earliest estimated end of what is in the way, or not at all.

Method: the real actors, closed into one loop; tasks have estimates.
"""

from __future__ import annotations

import pytest
from tests.unit.core_explanation.stage import Stage, task

from talka_protocols import messages as m
from talka_protocols.messages import Outcome
from talka_protocols.policies import Join, Rate, RetryPolicy
from talka_protocols.workflow import Task, Workflow


@pytest.fixture
def stage() -> Stage:
    """Return an empty stage."""
    return Stage()


def _in(stage: Stage, task_id: str, execution_id: str = "e") -> float | None:
    starts_at = stage.explain(task_id, execution_id).starts_at
    return None if starts_at is None else round(starts_at - stage.model.now_ms / 1000, 3)


def test_estimates_add_up_along_a_chain(stage: Stage) -> None:
    """What runs counts with what is left of its estimate; the longest way counts."""
    stage.submit(
        task("a", estimated_seconds=20.0),
        task("b", "a", estimated_seconds=5.0),
        task("short", estimated_seconds=1.0),
        task("c", "b", "short"),
    )
    stage.begin("a")
    stage.model.now_ms += 8_000
    assert _in(stage, "c") == 12 + 5
    assert "after e/b has ended" in stage.explain("c").expectation


def test_a_join_starts_with_the_soonest_that_suffice(stage: Stage) -> None:
    """Two of three are there with the second to end."""
    seconds = {"a": 30.0, "b": 10.0, "c": 20.0}
    stage.submit(*(task(t, estimated_seconds=s) for t, s in seconds.items()), task("d", *seconds, join=2))
    assert _in(stage, "d") == 20


def test_what_failed_does_not_count_for_a_join(stage: Stage) -> None:
    """The one that is left decides."""
    stage.submit(task("a"), task("b", estimated_seconds=9.0), task("c", "a", "b", join=Join.ANY))
    stage.end("a", Outcome.FAILED)
    assert _in(stage, "c") == 9


def test_a_resource_comes_with_the_end_of_its_holders(stage: Stage) -> None:
    """So many of them must end as give enough together."""
    stage.submit(
        task("a", cores=1.0, estimated_seconds=5.0),
        task("b", cores=1.0, estimated_seconds=60.0),
        task("c", cores=2.0, estimated_seconds=30.0),
        name="first",
    )
    stage.submit(task("x", cores=3.0))
    assert _in(stage, "x") == 30
    assert "first/c" in stage.explain("x").expectation


def test_own_limits_and_pauses_between_attempts_count(stage: Stage) -> None:
    """The first active task to end makes room under max_parallel; a retry has its time."""
    stage.submit(task("a", estimated_seconds=7.0), task("b"), max_parallel=1)
    assert _in(stage, "b") == 7
    stage.submit(task("r", retries=1, retry=RetryPolicy(base_seconds=30.0, jitter=0.0)), name="f")
    stage.end("r", Outcome.FAILED)
    assert _in(stage, "r", "f") == 30


def test_a_rate_has_its_time(stage: Stage) -> None:
    """The next start is when the oldest stops counting."""
    stage.submit(task("a", rate=Rate("mail", 1, 60.0)), task("b", rate=Rate("mail", 1, 60.0)))
    assert _in(stage, "b") == 60


def test_a_sub_workflow_ends_with_its_last_task(stage: Stage) -> None:
    """What waits for it starts then."""
    inner = Workflow(
        "child", "child", (task("x", estimated_seconds=4.0), task("y", "x", estimated_seconds=6.0))
    )
    stage.submit(Task("a", "workflow", workflow=inner), task("b", "a"))
    assert _in(stage, "b") == 10


def test_nobody_can_tell_when_somebody_must_act(stage: Stage) -> None:
    """After a person, a pause or a missing worker nothing is expected; but a race does not wait for them."""
    approval = Task("ask", "approval", payload={"question": "Go?"})
    stage.submit(
        approval,
        task("late", agent_type="painter"),
        task("b", "ask"),
        task("c", "late"),
        task("d", "late", "quick", join=Join.ANY),
        task("quick", estimated_seconds=3.0),
    )
    assert (_in(stage, "b"), _in(stage, "c"), _in(stage, "late")) == (None, None, None)
    assert stage.explain("b").expectation == "Nobody can tell when it will start."
    assert _in(stage, "d") == 3
    stage.ask(m.PauseExecution("e", "q1"))
    assert _in(stage, "d") is None


def test_what_has_begun_expects_nothing(stage: Stage) -> None:
    """Only what has not started has a time to come."""
    stage.submit(task("a"))
    stage.begin("a")
    found = stage.explain("a")
    assert (found.starts_at, found.expectation) == (None, "")


def test_those_that_go_first_take_their_time(stage: Stage) -> None:
    """Their work is done on all that the workers have of what is short, before it is one's own turn."""
    stage.submit(task("a", cores=4.0, estimated_seconds=5.0), name="first")
    stage.submit(task("b", cores=2.0, estimated_seconds=60.0, priority=90), name="second")
    stage.submit(task("c", cores=4.0, estimated_seconds=10.0, priority=80), name="third")
    stage.submit(task("d", cores=4.0))
    assert _in(stage, "d") == 5 + (2 * 60 + 4 * 10) / 4
