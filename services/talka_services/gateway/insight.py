"""Why and when: explanations, forecasts, where the time went, what was used, and the audit."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from talka_core.auditing import Violation
from talka_core.auditing.auditor import Summary
from talka_core.metering import Told
from talka_core.scheduler.usage import Proposal, proposals
from talka_protocols.bottlenecks import Bottlenecks
from talka_protocols.explanations import Explanation
from talka_services.client.audits import Signatures, audit
from talka_services.client.bottlenecks import where_time_went
from talka_services.client.explaining import explained
from talka_services.client.forecasting import Eta, eta
from talka_services.client.signatures import audit_signatures, with_signatures
from talka_services.gateway.calls import Call
from talka_services.gateway.executions import ONE, TASK
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.problems import INSTANT_MAX, VERSION_MAX, bad_request
from talka_services.projection import JetStreamSource
from talka_services.projection.noted import noted_in
from talka_services.sealing.ports import SealedLog
from talka_services.sealing.vault import VARIABLE


async def explain_task(call: Call, execution_id: str, task_id: str) -> Explanation:
    """Say why a task does not run, what would change that, and when it is expected to; or what it did."""
    own = execution_id in call.orchestrator.submitted
    return await explained(call.whole, execution_id, task_id, _now_ms(call), is_submitted=own)


class Draw(Struct, frozen=True, forbid_unknown_fields=True):
    """How chance is drawn."""

    seed: Annotated[int, Meta(ge=0, le=VERSION_MAX, description="Another number draws other run times.")] = 0


async def get_eta(call: Call, execution_id: str, query: Draw) -> Eta:
    """Tell when an execution will be over, in half and in nine of ten cases."""
    found = await eta(call.histories, execution_id, round(1000 * time.time()), query.seed)
    call.tell(execution_id, Told(round(1000 * found.eta.p50), round(1000 * found.eta.p90)))
    return found


class Simulated(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether to say what would have saved time."""

    simulate: Annotated[bool, Meta(description="Simulate it with one thing changed at a time.")] = True


async def get_bottlenecks(call: Call, execution_id: str, query: Simulated) -> Bottlenecks:
    """Say where the time of an execution went, and what would have saved some of it."""
    return await where_time_went(call.whole, execution_id, _now_ms(call), is_simulated=query.simulate)


def _now_ms(call: Call) -> int:
    return call.orchestrator.node.ports.clock.now_ms()


class UsageReport(Struct, frozen=True):
    """What the tasks of an execution used, and better requirements; ``next`` is the next page's cursor."""

    execution_id: str
    tasks: list[Proposal]
    next: str | None


async def get_usage(call: Call, execution_id: str, query: Paging) -> UsageReport:
    """Show what the tasks of an execution used, and propose better requirements."""
    found = enumerate(proposals(await call.whole.execution(execution_id)))
    chosen, following = paged(found, lambda item: item[0], query, int)
    return UsageReport(execution_id, [each for _, each in chosen], following)


class Audited(Struct, frozen=True, forbid_unknown_fields=True):
    """What is audited."""

    since: Annotated[
        float, Meta(ge=0, le=INSTANT_MAX, description="Only violations since then, in Unix seconds.")
    ] = 0.0
    signatures: Annotated[
        bool | None,
        Meta(description="Compare commits with their signatures; if left out, where the gateway has keys."),
    ] = None


class AuditReport(Struct, frozen=True):
    """What an audit found: ``count`` violations, and the first thousand of them.

    ``signatures`` is what was compared with them, null if nothing was.
    """

    clean: bool
    count: int
    violations: tuple[Violation, ...]
    summary: Summary
    signatures: Signatures | None


async def audit_namespace(call: Call, query: Audited) -> AuditReport:
    """Check that every allocation ever made was held, used and given back as it must be.

    With keys, also that nobody but their holders has written, changed or removed any of it, as far as the
    logs themselves tell, and what the read model has noted of them, where the gateway knows one. It reads
    every log of the namespace: seconds for a million events.
    """
    node = call.orchestrator.node
    log, snapshots, since_ms = node.ports.log, node.ports.snapshots, int(1000 * query.since)
    assert isinstance(log, SealedLog), "a node's log is one with keys"
    if query.signatures and not log.vault.has_keys:
        raise bad_request(
            "bad_parameter",
            "There are no keys to compare signatures with.",
            hint=f"Start the gateway with a file of keys, named with {VARIABLE}.",
        )
    is_compared = query.signatures is not False and log.vault.has_keys
    # What was noted must have been in the log before the log is read.
    is_noted = is_compared and bool(call.database)
    noted = await noted_in(call.database, JetStreamSource(node.connection)) if is_noted else None
    found = await audit(log, snapshots=snapshots, since_ms=since_ms)
    if is_compared:
        namespace = node.ports.names.namespace
        compared = await audit_signatures(log, namespace, noted, snapshots=snapshots, since_ms=since_ms)
        found = with_signatures(found, compared)
    return AuditReport(not found.count, found.count, found.violations, found.summary, found.signatures)


OPERATIONS = (
    Operation("GET", f"{TASK}/explanation", explain_task, "insight"),
    Operation("GET", f"{ONE}/eta", get_eta, "insight"),
    Operation("GET", f"{ONE}/bottlenecks", get_bottlenecks, "insight"),
    Operation("GET", f"{ONE}/usage", get_usage, "insight"),
    Operation("GET", "/audit", audit_namespace, "insight"),
)
