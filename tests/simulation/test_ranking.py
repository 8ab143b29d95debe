"""Goal: the judge of ranks compares what waits in one line, and nothing else.

Method: a round in which the worse of two requests is granted, each with the labels that it requires.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.ranking import ranking_findings, standings_of
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import ORDINARY, Affinity, Holder, Terms
from talka_protocols.subjects import EXECUTION, POOL, LogName
from talka_protocols.workflow import Task, Workflow

AT_MS = 1_700_000_000_000
BETTER, WORSE = (0.0, -3.0), (0.0, -0.4)
CORE = {"cpu_cores": 1.0}
ZONE_A, ZONE_B = {"zone": "a"}, {"zone": "b"}


def _commit(*events: Any) -> list[Commit[Any]]:
    return [Commit(1, AT_MS, 1, (Decision("q", events),))]


def _findings(
    passed: dict[str, str],
    granted: dict[str, str],
    *,
    is_added: bool = False,
    terms: tuple[Terms, Terms] = (ORDINARY, ORDINARY),
) -> list[str]:
    """Judge a round in which ``granted`` went before ``passed``, which has the better rank."""
    tasks = (Task("passed", AGENT_TYPE, requires=passed), Task("granted", AGENT_TYPE, requires=granted))
    first = () if is_added else tasks
    execution = _commit(
        e.ExecutionAccepted(Workflow("e", "e", first, ())),
        *([e.TasksAdded(tasks, (), "m", "map")] if is_added else []),
        e.TaskReady("passed", BETTER),
        e.TaskReady("granted", WORSE),
    )
    pool = _commit(
        e.AllocationGranted(
            "e/granted/1", Holder("e", "granted", 1), AGENT_TYPE, "w1", 1, 1, CORE, terms=terms[1]
        ),
        e.AllocationQueued(
            "e/passed/1", Holder("e", "passed", 1), AGENT_TYPE, CORE, BETTER, Affinity(passed), terms=terms[0]
        ),
    )
    standings = standings_of([(LogName(EXECUTION, "0", "e"), execution)])
    return list(ranking_findings(LogName(POOL, "-", "p"), pool, standings))


@pytest.mark.parametrize("is_added", [False, True])
@pytest.mark.parametrize(("passed", "granted"), [({}, ZONE_A), (ZONE_A, {}), (ZONE_A, ZONE_B)])
def test_requests_that_require_other_labels_may_pass_each_other(
    passed: dict[str, str], granted: dict[str, str], is_added: bool
) -> None:
    """A short one may use the worker that is held for a gang, where the better one would take too long."""
    assert _findings(passed, granted, is_added=is_added) == []


@pytest.mark.parametrize("is_added", [False, True])
@pytest.mark.parametrize("labels", [{}, ZONE_A])
def test_equal_requests_are_granted_best_first(labels: dict[str, str], is_added: bool) -> None:
    """Whether they require labels or none, who waits in the same line never passes a better one."""
    assert len(_findings(labels, labels, is_added=is_added)) == 1


def test_what_uses_its_reservation_passes_everybody() -> None:
    """Nobody else could have had what was kept for it; other terms than that let nobody pass."""
    urgent = Terms(start_by=1)
    assert _findings({}, {}, terms=(urgent, Terms(reservation="r"))) == []
    assert len(_findings({}, {}, terms=(urgent, Terms(is_preemptible=True)))) == 1
