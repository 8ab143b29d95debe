"""Goal: the time of an execution is put down to what it really went on, and to the tasks that decided it.

Method: the real actors, closed into one loop, with a clock that the test moves.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.core_explanation.stage import Stage, task

from talka_core.bottlenecks import bottlenecks
from talka_core.simulation import recorded
from talka_protocols import messages as m
from talka_protocols.bottlenecks import Bottlenecks, Spent
from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionEvent
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, Loop, MapOver, RetryPolicy
from talka_protocols.workflow import Task

S = Spent


@pytest.fixture
def stage() -> Stage:
    """Return an empty stage."""
    return Stage()


def _history(stage: Stage, to: Recipient, key: str) -> list[tuple[int, Any]]:
    player = stage.model.players[to, key]
    commits = (decode_commit(player.name, body) for body in player.commits)
    return [(commit.at, event) for commit in commits for _, _, event in commit.events()]


def _found(stage: Stage, *, is_simulated: bool = False) -> Bottlenecks:
    state = stage.model.players[Recipient.SCHEDULER, "e"].state
    history = cast("list[tuple[int, ExecutionEvent]]", _history(stage, Recipient.SCHEDULER, "e"))
    pool = _history(stage, Recipient.RESOURCE, "default")
    now_ms = stage.model.now_ms
    what = recorded(state, [event for _, event in history], pool, now_ms) if is_simulated else None
    return bottlenecks(state, history, now_ms, what)


def _path(stage: Stage) -> list[tuple[str, Spent, int]]:
    """Return the segments of the critical path, in milliseconds."""
    found = _found(stage)
    assert sum(segment.took_ms for segment in found.segments) == found.makespan_ms
    return [(segment.task_id, segment.spent_on, segment.took_ms) for segment in found.segments]


def _after(stage: Stage, milliseconds: int, task_id: str, **more: Any) -> None:
    """Let a task begin now and end so much later."""
    stage.begin(task_id)
    stage.model.now_ms += milliseconds
    stage.end(task_id, **more)


def test_the_path_leads_through_what_was_waited_for_last(stage: Stage) -> None:
    """Of two dependencies the later one is on the path; until it begins on its worker it is ``transfer``."""
    stage.submit(task("a"), task("b"), task("c", "a", "b"))
    stage.begin("a")
    stage.model.now_ms += 40
    stage.begin("b")
    stage.model.now_ms += 1_000
    stage.end("a")
    stage.model.now_ms += 500
    stage.end("b")
    stage.model.now_ms += 30
    _after(stage, 200, "c")
    assert _path(stage) == [
        ("b", S.TRANSFER, 40),
        ("b", S.COMPUTE, 1_500),
        ("c", S.TRANSFER, 30),
        ("c", S.COMPUTE, 200),
    ]


def test_waits_for_a_turn_and_for_resources_are_told_apart(stage: Stage) -> None:
    """Under max_parallel a task queues in its own workflow, whatever the pool has."""
    stage.submit(task("x", cores=4.0), name="first")
    stage.submit(task("a", cores=1.0), task("b", cores=1.0), max_parallel=1)
    stage.model.now_ms += 300
    stage.end("x")
    _after(stage, 1_000, "a")
    _after(stage, 100, "b")
    assert _path(stage) == [
        ("b", S.QUEUE, 1_300),
        ("b", S.COMPUTE, 100),
    ]
    assert _found(stage).totals_ms == {S.QUEUE: 1_300, S.COMPUTE: 100}


def test_a_short_resource_is_the_pools(stage: Stage) -> None:
    """From the request to the grant it is ``resource``."""
    stage.submit(task("x", cores=4.0), name="first")
    stage.submit(task("a", cores=1.0))
    stage.model.now_ms += 300
    stage.end("x")
    _after(stage, 50, "a")
    assert _path(stage) == [("a", S.RESOURCE, 300), ("a", S.COMPUTE, 50)]


def test_attempts_in_vain_are_retries(stage: Stage) -> None:
    """A failed attempt and the pause behind it are ``retry``, and so is what a lost worker had done."""
    stage.submit(task("a", retries=1, retry=RetryPolicy(base_seconds=2.0, jitter=0.0)))
    _after(stage, 700, "a", outcome=Outcome.FAILED)
    stage.let_time_pass()
    _after(stage, 100, "a")
    assert _path(stage) == [("a", S.RETRY, 2_700), ("a", S.COMPUTE, 100)]


def test_rounds_of_a_loop_count_and_the_pauses_between_them_wait(stage: Stage) -> None:
    """Every round was wanted."""
    stage.submit(task("a", loop=Loop("result == 1", delay_seconds=2.0)))
    _after(stage, 700, "a", result=b"0")
    stage.let_time_pass()
    _after(stage, 100, "a", result=b"1")
    assert _path(stage) == [("a", S.COMPUTE, 700), ("a", S.WAIT, 2_000), ("a", S.COMPUTE, 100)]


def test_waits_and_pauses_are_neither_queue_nor_compute(stage: Stage) -> None:
    """A timer is ``wait``; between pause and resume a ready task is ``paused``."""
    stage.submit(Task("t", "wait", payload={"seconds": 3}), task("a", "t"))
    stage.model.now_ms += 1_000
    stage.ask(m.PauseExecution("e", "q1"))
    stage.let_time_pass()
    stage.model.now_ms += 5_000
    stage.ask(m.ResumeExecution("e", "q2"))
    _after(stage, 100, "a")
    assert _path(stage) == [("t", S.WAIT, 3_000), ("a", S.PAUSED, 5_000), ("a", S.COMPUTE, 100)]


def test_a_map_is_followed_through_its_items(stage: Stage) -> None:
    """One after the other where its limit made them wait for each other."""
    stage.submit(task("a"), task("m", "a", map=MapOver([1, 2, 3], max_parallel=2)), task("z", "m"))
    _after(stage, 10, "a")
    _after(stage, 100, "m[0]")
    _after(stage, 300, "m[2]")
    _after(stage, 50, "m[1]")
    _after(stage, 7, "z")
    assert _path(stage) == [
        ("a", S.COMPUTE, 10),
        ("m[1]", S.TRANSFER, 400),
        ("m[1]", S.COMPUTE, 50),
        ("z", S.COMPUTE, 7),
    ]


def test_what_a_rollback_took_is_no_overhead(stage: Stage) -> None:
    """From its beginning to its end the time was ``undone``; then the tasks run once more."""
    stage.submit(task("a", compensation=Action("work")), task("b", "a"))
    _after(stage, 1_000, "a")
    _after(stage, 500, "b")
    stage.ask(m.RollBackExecution("e", to=1, request_id="q1"))
    stage.model.now_ms += 250
    stage.end("undo:a:1")
    _after(stage, 2_000, "a")
    _after(stage, 500, "b")
    path = _path(stage)
    assert path[-2:] == [("a", S.COMPUTE, 2_000), ("b", S.COMPUTE, 500)]
    assert (S.UNDONE, 250) in [(spent_on, took_ms) for _, spent_on, took_ms in path]


def test_what_still_runs_leads_to_now(stage: Stage) -> None:
    """The open task with the longest way behind it ends the path."""
    stage.submit(task("a"), task("b"), task("c", "b"))
    stage.begin("a")
    stage.begin("b")
    stage.model.now_ms += 600
    assert _path(stage) == [("b", S.COMPUTE, 600)]


def test_clocks_that_differ_lose_no_time(stage: Stage) -> None:
    """A worker whose clock is an hour behind, or ahead, moves a boundary and nothing else."""
    stage.submit(task("a"))
    (run,) = stage.model.running
    stage.model.now_ms += 100
    began_ms, ended_ms = stage.model.now_ms - 3_600_000, stage.model.now_ms + 3_600_000
    stage.ask(m.AttemptFinished("e", "a", 1, run[0], began_ms, ended_ms, Outcome.SUCCEEDED))
    assert _path(stage) == [("a", S.COMPUTE, 100)]


def test_counterfactuals_name_what_would_have_helped(stage: Stage) -> None:
    """Two tasks share a worker: half of one saves half of it, though it only held the other up."""
    stage.submit(task("a", cores=4.0), task("b", cores=4.0), task("c", "a", "b"))
    _after(stage, 40_000, "a")
    _after(stage, 20_000, "b")
    _after(stage, 1_000, "c")
    found = _found(stage, is_simulated=True)
    assert found.simulated_ms == found.makespan_ms == 61_000
    saved = {each.change: each.saves_ms for each in found.alternatives}
    assert saved == {
        "halve a": 20_000,
        "halve b": 10_000,
        "halve c": 500,
        "one more worker": 20_000,
        "twice the cpu_cores": 20_000,
    }
    assert [each.saves_ms for each in found.alternatives] == sorted(saved.values(), reverse=True)


def test_what_nobody_offers_is_noted(stage: Stage) -> None:
    """Where the simulation would wait for ever the path stands, and the note says why nothing was tried."""
    stage.submit(task("a"), task("b", agent_type="painter"))
    _after(stage, 100, "a")
    found = _found(stage, is_simulated=True)
    assert found.alternatives == ()
    assert "painter" in found.note
