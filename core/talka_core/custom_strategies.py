"""Strategies that others bring: each plans the order of all tasks, once, and the plan records it.

Whoever folds the log later needs the recorded order only, not the strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Strategy, Workflow

CustomStrategy = Callable[[Workflow, Mapping[str, float]], Sequence[str]]
"""Given a checked workflow, and what its pool has in all as far as that is known, return the ids of all
tasks in the order in which they should start. It must be pure, and take well under a second.
"""

PLUGGED_IN: dict[str, CustomStrategy] = {}
"""By name; filled once, by whoever hosts a planner or reads workflows."""


def custom_order(workflow: Workflow, capacity: Mapping[str, float]) -> tuple[int, ...]:
    """Return the positions of the tasks in the order of the workflow's own strategy.

    Raises:
        WorkflowInvalidError: Nobody here knows the strategy (``unknown_strategy``), or what it
            returned is no order of the tasks (``bad_strategy``).
    """
    name = workflow.config.custom_strategy
    strategy = PLUGGED_IN.get(name)
    if strategy is None:
        raise WorkflowInvalidError(
            f"There is no strategy {name!r}.",
            hint=did_you_mean(name, [*Strategy, *sorted(PLUGGED_IN)], label="Strategies"),
            code="unknown_strategy",
            path=("strategy",),
        )
    try:
        found = list(strategy(workflow, capacity))
    except Exception as error:
        raise _bad(name, f"raised {type(error).__name__}: {error}") from error
    positions = {task.id: position for position, task in enumerate(workflow.tasks)}
    if len(found) != len(positions) or set(found) != positions.keys():
        raise _bad(name, "did not return the id of each task once")
    return tuple(positions[task_id] for task_id in found)


def _bad(name: str, what: str) -> WorkflowInvalidError:
    return WorkflowInvalidError(
        f"The strategy {name!r} {what}.",
        hint="Correct the package that brings it, or choose another strategy.",
        code="bad_strategy",
        path=("strategy",),
    )
