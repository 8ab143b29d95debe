"""Goal: whatever keeps a task from running, the first cause that is named is the one that was injected.

Method: the real actors, closed into one loop, are brought to each kind of waiting; every state is one
that they came to by themselves, and the model's checks hold after every event.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from tests.unit.core_explanation.injections import INJECTIONS, Injection, waiting_for_a_child
from tests.unit.core_explanation.pool_injections import POOL_INJECTIONS
from tests.unit.core_explanation.stage import Stage, task

from talka_core.scheduler.waiting import child_id
from talka_protocols import messages as m
from talka_protocols.errors import RequestRefusedError, UnknownExecutionError
from talka_protocols.explanations import CauseKind, Explanation
from talka_protocols.messages import Recipient
from talka_protocols.policies import Join
from talka_protocols.workflow import Task

K = CauseKind
ALL = (*INJECTIONS, *POOL_INJECTIONS)


@pytest.fixture
def stage() -> Stage:
    """Return an empty stage."""
    return Stage()


@pytest.mark.parametrize(
    ("inject", "kind", "said"), ALL, ids=[inject.__name__.strip("_") for inject, _, _ in ALL]
)
def test_the_first_cause_is_the_injected_one(
    stage: Stage, inject: Injection, kind: CauseKind, said: tuple[str, ...]
) -> None:
    """The first cause has the kind of what was injected, and its sentence names who and what."""
    found = inject(stage)
    first = found.causes[0]
    assert first.kind is kind, found.causes
    for text in said:
        assert text in first.sentence, first.sentence
    assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found


def test_every_kind_has_an_injection() -> None:
    """Nothing is explained that no test brings about, but for what only stands behind another cause."""
    left = {K.EXECUTION_STOPPING, K.EXECUTION_OVER}
    assert set(K) - {kind for _, kind, _ in ALL} == left


def test_what_is_really_in_the_way_follows(stage: Stage) -> None:
    """Behind a chain of dependencies comes why its last task does not run."""
    stage.submit(task("a", cores=3.0), name="first")
    stage.submit(task("x", cores=2.0), task("y", "x"), task("z", "y"))
    found = stage.explain("z")
    assert [cause.kind for cause in found.causes] == [K.DEPENDENCY, K.RESOURCE]
    assert found.causes[0].chain == ("z", "y", "x")
    assert found.causes[1].task_id == "x"
    assert [(h.execution_id, h.amount) for h in found.causes[1].holders] == [("first", 3.0)]


def test_a_sub_workflow_is_followed_to_its_own_blocking_task(stage: Stage) -> None:
    """Behind the wait for a sub-workflow comes the task that this waits for."""
    waiting_for_a_child(stage)
    found = stage.explain("b")
    assert [cause.kind for cause in found.causes] == [K.DEPENDENCY, K.SUB_WORKFLOW, K.SIGNAL]
    assert found.causes[-1].execution_id == child_id("e", "a", 1)
    assert found.causes[-1].task_id == "y"


def test_the_most_stuck_of_several_dependencies_is_named(stage: Stage) -> None:
    """One that waits for a person counts more than one that runs."""
    approval = Task("b", "approval", payload={"question": "Go?"})
    stage.submit(task("a"), approval, task("c", "a", "b"))
    stage.begin("a")
    found = stage.explain("c")
    assert found.causes[0].chain == ("c", "b")
    assert "(and for a)" in found.causes[0].sentence
    assert found.causes[1].kind is K.APPROVAL


def test_of_several_that_suffice_the_nearest_to_its_end_is_named(stage: Stage) -> None:
    """Under ``any`` the running one will let the task start, not the one that waits for ever."""
    signal = Task("b", "signal", payload={"name": "never"})
    stage.submit(task("a"), signal, task("c", "a", "b", join=Join.ANY))
    stage.begin("a")
    assert stage.explain("c").causes[0].chain == ("c", "a")


def test_a_misspelt_task_gets_a_suggestion(stage: Stage) -> None:
    """An unknown task is an error that names the closest one, before and after the execution has begun."""
    stage.lost = (m.StartExecution,)
    stage.submit(task("prepare"))
    with pytest.raises(RequestRefusedError, match=r"no task 'prepaer'.* Did you mean 'prepare'"):
        stage.explain("prepaer")
    stage.lost = ()
    stage.model.resume(Recipient.PLANNER, "e")
    stage.deliver()
    with pytest.raises(RequestRefusedError, match="Did you mean 'prepare'") as refused:
        stage.explain("prepaer")
    assert refused.value.code == "unknown_task"


def test_nobody_knows_the_execution(stage: Stage) -> None:
    """Without any record there is nothing to explain."""
    with pytest.raises(UnknownExecutionError):
        stage.explain("a", "nothing")


def test_long_chains_are_no_deep_recursion(stage: Stage) -> None:
    """A chain of a thousand tasks is followed to its beginning, and the sentence stays short."""
    names = [f"t{n}" for n in range(1000)]
    first = Task("t0", "signal", payload={"name": "go"})
    stage.submit(first, *(task(b, a) for a, b in pairwise(names)))
    found = stage.explain("t999")
    assert found.causes[1].kind is K.SIGNAL
    assert len(found.causes[0].chain) == 1000
    assert len(found.causes[0].sentence) < 300
