"""Goal: a package brings a strategy by an entry point; the planner records its order, or why it has none."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint

import pytest

from talka_chaos.model import Model
from talka_core.custom_strategies import PLUGGED_IN, CustomStrategy, custom_order
from talka_core.graph import duration_of
from talka_core.simulation import Offer, simulate
from talka_core.strategies import Ranking, ranks_of
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import Recipient
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Strategy, Workflow
from talka_services import strategies
from talka_services.formats import load
from talka_services.formats.talka_file import to_document

FILE = """
talka: 1
name: shop
strategy: shortest_first
tasks:
  - {id: long, agent_type: sleep, payload: {seconds: 9}, resources: {cpu_cores: 1}}
  - {id: short, agent_type: sleep, payload: {seconds: 1}, resources: {cpu_cores: 1}}
  - {id: middle, agent_type: sleep, payload: {seconds: 5}, resources: {cpu_cores: 1}}
"""


def shortest_first(workflow: Workflow, _capacity: Mapping[str, float]) -> Sequence[str]:
    """Return the shortest task first: what the test's package brings."""
    return [task.id for task in sorted(workflow.tasks, key=duration_of)]


def too_few(_workflow: Workflow, _capacity: Mapping[str, float]) -> Sequence[str]:
    """Return one task only."""
    return ["long"]


def one_twice(_workflow: Workflow, _capacity: Mapping[str, float]) -> Sequence[str]:
    """Return a task twice, and another never."""
    return ["long", "long", "short"]


def raising(_workflow: Workflow, _capacity: Mapping[str, float]) -> Sequence[str]:
    """Fail."""
    raise ZeroDivisionError


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that brings one strategy."""
    monkeypatch.setitem(sys.modules, "shop_strategies", sys.modules[__name__])
    point = EntryPoint("shortest_first", "shop_strategies:shortest_first", strategies.GROUP)

    def entry_points(group: str) -> list[EntryPoint]:
        return [point] if group == strategies.GROUP else []

    monkeypatch.setattr(strategies, "entry_points", entry_points)
    yield
    PLUGGED_IN.clear()


def test_its_order_is_followed() -> None:
    """The file names it as any other strategy, and the tasks start in its order."""
    workflow = load(FILE)
    assert (workflow.config.custom_strategy, workflow.config.strategy) == ("shortest_first", None)
    assert custom_order(workflow, {}) == (1, 2, 0)
    run = simulate(workflow, [Offer({"cpu_cores": 1.0})])
    starts = {task_id: task.start_s for task_id, task in run.tasks.items()}
    assert starts == {"short": 0.0, "middle": 1.0, "long": 6.0}


def test_a_recorded_order_needs_no_package() -> None:
    """Ranks come from the order alone, so that a log is read where nobody knows the strategy."""
    workflow = load(FILE)
    PLUGGED_IN.clear()
    ranks = ranks_of(workflow, {}, Ranking(Strategy.PRIORITY, order=(1, 2, 0), is_custom=True))
    assert sorted(ranks, key=lambda task_id: ranks[task_id]) == ["short", "middle", "long"]


def test_a_file_keeps_it() -> None:
    """A workflow that is written and read again has the same strategy."""
    document = to_document(load(FILE))
    assert document["custom_strategy"] == "shortest_first"


def test_a_misspelt_one_is_refused_with_its_place() -> None:
    """What neither the platform nor a package brings is refused when the file is read."""
    with pytest.raises(WorkflowInvalidError) as refused:
        load(FILE.replace("shortest_first", "priorit"))
    assert refused.value.code == "unknown_choice"
    assert "'priority'" in refused.value.hint


@pytest.mark.parametrize(
    ("brought", "code"),
    [
        (None, "unknown_strategy"),
        (too_few, "bad_strategy"),
        (one_twice, "bad_strategy"),
        (raising, "bad_strategy"),
    ],
)
def test_a_planner_that_gets_no_order_rejects(brought: CustomStrategy | None, code: str) -> None:
    """The execution is on record as rejected, with the reason and the nearest name."""
    workflow = load(FILE)
    PLUGGED_IN.clear()
    PLUGGED_IN["shortest_firs"] = shortest_first
    if brought is not None:
        PLUGGED_IN["shortest_first"] = brought
    model = Model({"w1": 1.0})
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("e", workflow))
    while model.soup:
        model.deliver(0)
    state = model.players[Recipient.SCHEDULER, "e"].state
    assert state.status is ExecutionState.REJECTED
    with pytest.raises(WorkflowInvalidError) as refused:
        custom_order(workflow, {})
    assert refused.value.code == code
    assert "shortest_first" in state.reason
