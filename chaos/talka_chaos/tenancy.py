"""Tenants, quotas and limits of a world: what is drawn of them, and what must hold of a pool's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from talka_chaos.gangs import single
from talka_chaos.graphs import AGENT_TYPE
from talka_core.keys import is_keyed
from talka_core.resource import PoolRecord
from talka_core.resource.accounts import claim_of
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import Terms
from talka_protocols.subjects import LogName
from talka_protocols.workflow import ResourceRequirements, Task, Workflow, WorkflowConfig

SHARE = 0.35
RIVALRY = 0.04
RIVALS = ("a", "b")
RIVAL_TASKS = 8
TENANTS = ("default", "a", "b")


class Division(Struct, frozen=True):
    """How a pool is divided between tenants."""

    quotas: dict[str, dict[str, float]] = {}
    weights: dict[str, float] = {}


def drawn_division(seed: int) -> Division:
    """Return the quotas and weights of one seed; nothing else of the seed changes."""
    if _has_rivals(seed):
        return Division(weights={"b": 3.0})
    random = Random(f"division {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return Division()
    # A quota below what the largest task asks for would let it wait for ever.
    quotas = {"a": {"cpu_cores": random.choice((2.0, 2.5))}} if random.random() < 0.6 else {}
    return Division(quotas, {"b": 2.0} if random.random() < 0.5 else {})


def with_tenants(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Give workflows of some seeds to tenants, and some of them limits of their own."""
    random = Random(f"tenants {seed}")  # noqa: S311
    if random.random() >= SHARE:
        return list(workflows)
    return [_owned(random, workflow) for workflow in workflows]


def with_rivals(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Add, for a few seeds, two tenants that want the same at the same time, so that turns matter."""
    if not _has_rivals(seed):
        return list(workflows)
    random = Random(f"rivals {seed}")  # noqa: S311
    tasks = tuple(
        Task(
            f"t{number}",
            AGENT_TYPE,
            resources=ResourceRequirements(cpu_cores=1.0),
            estimated_seconds=round(random.uniform(0.2, 3.0), 3),
        )
        for number in range(RIVAL_TASKS)
    )
    rivals = [Workflow(f"rival-{of}", "rival", tasks, (), WorkflowConfig(tenant=of)) for of in RIVALS]
    return [*workflows, *rivals]


def _has_rivals(seed: int) -> bool:
    return Random(f"rivalry {seed}").random() < RIVALRY  # noqa: S311


def _owned(random: Random, workflow: Workflow) -> Workflow:
    config = replace(workflow.config, tenant=random.choice(TENANTS))
    own = (task for task in workflow.tasks if task.agent_type == AGENT_TYPE)
    largest = max((task.resources.cpu_cores for task in own), default=0.0)
    if random.random() < 0.4:
        config = replace(config, limits={"cpu_cores": max(2.0, largest), "slots": 2.0})
    return replace(workflow, config=config)


def check_accounts(state: PoolRecord) -> None:
    """R7 an account has what its live grants hold together, and no limited execution exceeds its limits."""
    accounts: dict[str, Counter[str]] = {}
    limits: dict[str, dict[str, float]] = {}
    for grant in state.grants.values():
        if grant.is_revoked:
            continue
        claim = claim_of(grant.agent_type, grant.amounts)
        accounts.setdefault(f"tenant/{grant.terms.tenant}", Counter()).update(claim)
        if grant.terms.limits:
            execution = f"execution/{grant.holder.execution_id}"
            accounts.setdefault(execution, Counter()).update(claim)
            limits[execution] = grant.terms.limits
    held = {account: dict(+used) for account, used in accounts.items() if +used}
    assert (state.accounts or {}) == held, f"R7 the accounts say {state.accounts}, and {held} is held"
    for execution, bound in limits.items():
        for name, most in bound.items():
            used = accounts[execution][name] / 1000
            assert used <= most, f"R7 {execution} has {used} of {name} at a limit of {most}"


def quota_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """Q1 yield each grant beyond a quota of its tenant or a limit of its execution, by the events alone."""
    quotas: dict[str, dict[str, float]] = {}
    used: dict[str, Counter[str]] = {}
    live: dict[str, e.AllocationGranted] = {}
    for commit in commits:
        for version, _, event in single(commit.events()):
            match event:
                case e.PoolConfigured():
                    quotas = event.quotas
                case e.AllocationGranted():
                    live[event.allocation_id] = event
                    for account, bound in _accounts(event, quotas):
                        mine = used.setdefault(account, Counter())
                        mine.update(_counted(event))
                        for name in bound.keys() & _counted(event).keys():
                            if mine[name] > round(1000 * bound[name]):
                                yield f"Q1 {log}: event {version} gives {account} {mine[name]} of {name}"
                case e.AllocationFreed() | e.AllocationRevoked():
                    if granted := live.pop(event.allocation_id, None):
                        for account, _ in _accounts(granted, quotas):
                            used[account].subtract(_counted(granted))
                case _:
                    pass


def _accounts(
    event: e.AllocationGranted, quotas: dict[str, dict[str, float]]
) -> Iterator[tuple[str, dict[str, float]]]:
    terms: Terms = event.terms
    yield f"tenant {terms.tenant}", quotas.get(terms.tenant, {})
    yield f"execution {event.holder.execution_id}", terms.limits


def _counted(event: e.AllocationGranted) -> dict[str, int]:
    amounts = {name: round(1000 * amount) for name, amount in event.amounts.items() if not is_keyed(name)}
    return amounts | ({"slots": 1000} if event.agent_type else {})
