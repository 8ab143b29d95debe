"""Why and when: explanations, forecasts, where the time went, what was used, and the audit."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from talka_core.auditing import Violation
from talka_core.auditing.auditor import Summary
from talka_core.scheduler.usage import Proposal, proposals
from talka_protocols.bottlenecks import Bottlenecks
from talka_protocols.explanations import Explanation
from talka_services.client.audits import audit
from talka_services.client.forecasting import Eta, eta
from talka_services.gateway.calls import Call
from talka_services.gateway.executions import ONE, TASK
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.problems import INSTANT_MAX, VERSION_MAX


async def explain_task(call: Call, execution_id: str, task_id: str) -> Explanation:
    """Say why a task does not run, what would change that, and when it is expected to; or what it did."""
    return await call.orchestrator.explain(execution_id, task_id)


class Draw(Struct, frozen=True, forbid_unknown_fields=True):
    """How chance is drawn."""

    seed: Annotated[int, Meta(ge=0, le=VERSION_MAX, description="Another number draws other run times.")] = 0


async def get_eta(call: Call, execution_id: str, query: Draw) -> Eta:
    """Tell when an execution will be over, in half and in nine of ten cases."""
    return await eta(call.histories, execution_id, round(1000 * time.time()), query.seed)


class Simulated(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether to say what would have saved time."""

    simulate: Annotated[bool, Meta(description="Simulate it with one thing changed at a time.")] = True


async def get_bottlenecks(call: Call, execution_id: str, query: Simulated) -> Bottlenecks:
    """Say where the time of an execution went, and what would have saved some of it."""
    return await call.orchestrator.bottlenecks(execution_id, is_simulated=query.simulate)


class UsageReport(Struct, frozen=True):
    """What the tasks of an execution used, and better requirements; ``next`` is the next page's cursor."""

    execution_id: str
    tasks: list[Proposal]
    next: str | None


async def get_usage(call: Call, execution_id: str, query: Paging) -> UsageReport:
    """Show what the tasks of an execution used, and propose better requirements."""
    found = enumerate(proposals(await call.histories.execution(execution_id)))
    chosen, following = paged(found, lambda item: item[0], query, int)
    return UsageReport(execution_id, [each for _, each in chosen], following)


class Since(Struct, frozen=True, forbid_unknown_fields=True):
    """From when on."""

    since: Annotated[
        float, Meta(ge=0, le=INSTANT_MAX, description="Only violations since then, in Unix seconds.")
    ] = 0.0


class AuditReport(Struct, frozen=True):
    """What an audit found: ``count`` violations, and the first thousand of them."""

    clean: bool
    count: int
    violations: tuple[Violation, ...]
    summary: Summary


async def audit_namespace(call: Call, query: Since) -> AuditReport:
    """Check that every allocation ever made was held, used and given back as it must be.

    It reads every log of the namespace: seconds for a million events.
    """
    ports = call.orchestrator.node.ports
    found = await audit(ports.log, snapshots=ports.snapshots, since_ms=int(1000 * query.since))
    return AuditReport(not found.count, found.count, found.violations, found.summary)


OPERATIONS = (
    Operation("GET", f"{TASK}/explanation", explain_task, "insight"),
    Operation("GET", f"{ONE}/eta", get_eta, "insight"),
    Operation("GET", f"{ONE}/bottlenecks", get_bottlenecks, "insight"),
    Operation("GET", f"{ONE}/usage", get_usage, "insight"),
    Operation("GET", "/audit", audit_namespace, "insight"),
)
