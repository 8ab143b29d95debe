"""Goal: a user's own workflow is tried in the simulated cluster, and a failure is shrunk to what it takes.

Method: examples of the documentation, and planted bugs that make them fail.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from talka_chaos.harsh import SKEW_MS
from talka_chaos.mutants import MUTANTS
from talka_chaos.trials import tried, trying
from talka_chaos.trials.modelling import CRITICAL_S, modelled
from talka_chaos.trials.trying import Tried
from talka_chaos.virtual_loop import run_virtually
from talka_core.graph import analyse
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task, Workflow
from talka_services.cli.loading import Request, load_workflow
from talka_services.trials import Site, Trial

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SITE = Site([{"cpu_cores": 4.0, "memory_mb": 8_000.0, "gpu_count": 4.0}] * 2, {"licence": 1.0})
FILES = sorted(path for path in EXAMPLES.glob("*.yaml") if path.stem != "resources")
"""Of what `resources.yaml` needs, the site above has not everything."""


@pytest.fixture(autouse=True)
def _in_silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def example(name: str) -> Workflow:
    """Return the workflow of an example."""
    return load_workflow(Request(str(EXAMPLES / f"{name}.yaml"), is_open=True)).workflow


def trial_of(workflow: Workflow, seed: int) -> Trial:
    """Return what becomes of a workflow under the faults of one seed."""
    return next(iter(tried(workflow, SITE, [seed])))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_example_can_be_tried(path: Path) -> None:
    """What people write has a model that is valid, no longer than a storm, and of the same graph."""
    workflow = load_workflow(Request(str(path), is_open=True)).workflow
    model = modelled(workflow, "x")
    check(model)
    assert [task.id for task in model.tasks] == [task.id for task in workflow.tasks]
    assert model.dependencies == workflow.dependencies
    assert analyse(model).critical_seconds <= max(CRITICAL_S, analyse(workflow).critical_seconds) + 0.1


@pytest.mark.parametrize("name", ["quickstart", "signals", "rollback"])
def test_an_example_holds_and_a_seed_is_always_the_same(name: str) -> None:
    """Nothing is violated, whatever goes wrong; the same seed gives the same trial, another one another."""
    first, again, other = (trial_of(example(name), seed) for seed in (3, 3, 4))
    assert first == again
    assert (first.violations, first.faults, other.violations) == ((), (), ())
    assert first != other
    assert first.status
    assert first.injected


def test_what_stopped_an_execution_is_told() -> None:
    """A task that may not be tried again ends some executions, and the trial names it and says why."""
    fragile = Workflow("x", "x", tuple(Task(name, "sleep", estimated_seconds=1.0) for name in "abcd"))
    ended = [trial for trial in tried(fragile, SITE, range(12)) if trial.status != "succeeded"]
    assert ended
    for trial in ended:
        assert trial.violations == ()
        assert [each for each in trial.stopped if each.status == "failed" and each.error and each.attempts]


def test_what_can_never_run_there_is_refused() -> None:
    """A task that needs more than any worker has is refused at once, not simulated for ever."""
    large = example("quickstart")
    needy = Site([{"cpu_cores": 0.1}])
    with pytest.raises(WorkflowInvalidError):
        list(tried(large, needy, [0]))


def test_a_bug_is_found_and_needs_few_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a planted bug some seed fails, and of its many faults only those are left that it takes."""
    pair = Workflow("x", "x", tuple(Task(name, "sleep", estimated_seconds=2.0) for name in "ab"))
    monkeypatch.setattr(trying, "TRIES", 60)
    with MUTANTS["lost_worker_keeps_its_grants"]():
        failed = next(trial for trial in tried(pair, SITE, range(20)) if trial.violations)
    assert any("freed_in_use" in each for each in failed.violations)
    assert 1 <= len(failed.faults) <= 5
    assert len(failed.faults) < sum(failed.injected.values())
    assert [fault.at_s for fault in failed.faults] == sorted(fault.at_s for fault in failed.faults)


def test_wrong_clocks_alone_expire_nothing() -> None:
    """Clocks that jump by up to four minutes while nobody dies make no time limit pass."""
    workflow = example("quickstart")
    assert workflow.config.timeout is not None
    assert 1_000 * workflow.config.timeout < SKEW_MS, "a jump is longer than the limit"
    model = modelled(workflow, "tried")
    only = frozenset(("clock_skew", number) for number in range(100))
    skewed = 0
    for seed in range(6):
        simulation = Tried(seed, model, SITE, only)
        assert run_virtually(simulation.run()).is_healthy
        state = simulation.world.book.of_kind("execution")["tried"]
        assert state.status == "succeeded"
        skewed += len(simulation.world.suffered)
    assert skewed > 0
