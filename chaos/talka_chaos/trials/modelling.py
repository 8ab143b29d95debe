"""The workflow that is tried in the place of a user's: the same graph and rules, with modelled tasks.

Whatever a worker would run takes its estimate, fails now and then as the seed
draws, and returns the number of its attempt. So conditions count as met, a map
over what a task returns has two items, and a loop ends with its second round.
Signals and answers come. Estimates are shortened together if the critical path
is longer than a storm.
"""

from __future__ import annotations

from collections.abc import Sized

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_core.graph import analyse, duration_of
from talka_core.payloads import KINDS
from talka_protocols.policies import Action, MapOver
from talka_protocols.workflow import DEFAULT_TENANT, Task, Workflow

CRITICAL_S = 15.0
"""The critical path is shortened to this, so that most of it lies within the storm."""
ITEMS = 2
ROUNDS = "iteration == 2"
SIGNAL, APPROVAL, NESTED = "signal", "approval", "workflow"


def modelled(workflow: Workflow, execution_id: str) -> Workflow:
    """Return a checked workflow as it is tried."""
    critical_s = analyse(workflow).critical_seconds
    return _modelled(workflow, execution_id, min(1.0, CRITICAL_S / critical_s) if critical_s else 1.0)


def _modelled(workflow: Workflow, id_: str, scale: float, *, is_child: bool = False) -> Workflow:
    config = replace(
        workflow.config, pool="default", tenant=DEFAULT_TENANT, custom_strategy="", fails_on_violation=False
    )
    tasks = tuple(_task(task, scale, is_child=is_child) for task in workflow.tasks)
    return replace(workflow, id=id_, name=id_, tasks=tasks, config=config, metadata={}, inputs={})


def _task(task: Task, scale: float, *, is_child: bool) -> Task:
    plain = replace(
        task,
        payload={},
        estimated_seconds=round(scale * duration_of(task), 3),
        when="",
        map=None if task.map is None else _map(task.map),
        loop=None if task.loop is None else replace(task.loop, until=ROUNDS),
        reads=(),
        writes=(),
        requires={},
        prefers={},
        reservation="",
        fallback=_action(task.fallback),
        compensation=_action(task.compensation),
        concurrency=None if task.concurrency and "${" in task.concurrency.key else task.concurrency,
        rate=None if task.rate and "${" in task.rate.key else task.rate,
    )
    if task.agent_type == NESTED and task.workflow is not None:
        child = _modelled(task.workflow, task.workflow.id, scale, is_child=True)
        return replace(plain, workflow=child, estimated_seconds=None)
    if task.agent_type not in KINDS:
        return replace(plain, agent_type=AGENT_TYPE)
    return _awaiting(task, plain, is_repeated=is_child or task.map is not None or task.loop is not None)


def _awaiting(task: Task, plain: Task, *, is_repeated: bool) -> Task:
    """Let what waits go on waiting: for somebody who answers, or where nobody could, for its time."""
    if task.agent_type == SIGNAL and not is_repeated:
        return replace(plain, payload={"name": task.id}, estimated_seconds=None)
    if task.agent_type == APPROVAL and not is_repeated:
        return replace(plain, payload={"question": "Go on?"}, estimated_seconds=None)
    return replace(
        plain, agent_type="wait", payload={"seconds": plain.estimated_seconds}, estimated_seconds=None
    )


def _map(rule: MapOver) -> MapOver:
    is_known = isinstance(rule.over, Sized) and not isinstance(rule.over, str)
    return replace(rule, over=list(range(len(rule.over) if is_known else ITEMS)))


def _action(action: Action | None) -> Action | None:
    return None if action is None else replace(action, agent_type=AGENT_TYPE, payload={})
