"""Goal: what cannot be done in time is told beforehand, with what would help."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from talka_core.builder import WorkflowBuilder
from talka_core.simulation import Offer, feasibility, simulate
from talka_protocols.workflow import ResourceRequirements, Task, Workflow


def flow(
    deadline: float, *tasks: tuple[str, float, dict[str, Any]], edges: tuple[tuple[str, str], ...] = ()
) -> Workflow:
    """Return a workflow that is due as a whole; each task has an id, seconds and needs."""
    builder = WorkflowBuilder("w").set_strategy("deadline")
    for name, seconds, needs in tasks:
        builder.add_task(
            Task(name, "sleep", payload={"seconds": seconds}, resources=ResourceRequirements(**needs))
        )
    for before, after in edges:
        builder.add_dependency(before, after)
    workflow = builder.build()
    return replace(workflow, config=replace(workflow.config, deadline=deadline))


GPU = {"gpu_count": 1}
TWO = (("a", 60.0, GPU), ("b", 60.0, GPU))


def test_nothing_is_said_where_nothing_is_due() -> None:
    """A workflow without deadlines is not judged."""
    workflow = flow(1.0, *TWO)
    assert feasibility(replace(workflow, config=replace(workflow.config, deadline=None)), [Offer({})]) is None


def test_what_fits_is_feasible() -> None:
    """With two devices both end in time."""
    found = feasibility(flow(60.0, *TWO), [Offer({"gpu_count": 2.0})])
    assert found is not None
    assert found.is_feasible
    assert found.sentence() == "All deadlines can be met."


def test_one_more_of_what_is_short_is_named() -> None:
    """One device is too little, and one more is enough; other resources are no remedy."""
    needs = {"gpu_count": 1, "memory_mb": 10.0}
    workflow = flow(100.0, ("a", 60.0, needs), ("b", 60.0, needs))
    found = feasibility(workflow, [Offer({"gpu_count": 1.0, "memory_mb": 100.0})])
    assert found is not None
    assert (found.misses, found.weighted_tardiness_s) == (1, 20.0)
    assert found.remedies == ("one more GPU", "one more worker like the largest")
    assert "With one more GPU or one more worker" in found.sentence()


def test_a_pool_wide_amount_can_be_the_remedy() -> None:
    """A licence of the pool is short, and more workers would not help."""
    needs = {"custom_resources": {"licence": 2.0}}
    workflow = flow(100.0, ("a", 60.0, needs), ("b", 60.0, needs))
    found = feasibility(workflow, [Offer({"cpu_cores": 8.0})], {"licence": 3.0})
    assert found is not None
    assert found.remedies == ("2 more licence",)


def test_what_no_pool_can_do_is_called_so() -> None:
    """The longest way to a task takes longer than its deadline, so no worker helps."""
    workflow = flow(100.0, ("a", 60.0, {}), ("b", 60.0, {}), edges=(("a", "b"),))
    found = feasibility(workflow, [Offer({"cpu_cores": 1.0})])
    assert found is not None
    assert (found.impossible, found.remedies) == (("b",), ())
    assert "'b' on any workers" in found.sentence()


def test_where_one_more_is_not_enough_it_says_so() -> None:
    """Ten tasks for one device in a tenth of the time would need nine more."""
    tasks = tuple((f"t{number}", 60.0, GPU) for number in range(10))
    found = feasibility(flow(60.0, *tasks), [Offer({"gpu_count": 1.0})])
    assert found is not None
    assert found.misses == 9
    assert "also with one more of anything" in found.sentence()


@pytest.mark.parametrize("deadline", [30.0, 60.0, 119.0, 120.0])
def test_it_says_what_the_simulation_says(deadline: float) -> None:
    """The misses are those of a simulated run."""
    workflow = flow(deadline, *TWO)
    offers = [Offer({"gpu_count": 1.0})]
    found = feasibility(workflow, offers)
    assert found is not None
    assert found.misses == simulate(workflow, offers).deadline_misses
