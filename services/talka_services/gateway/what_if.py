"""What an execution on record would have been with something other than it was."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from talka_core.default_strategy import by_strategy
from talka_core.simulation import Change
from talka_protocols.workflow import WorkflowConfig
from talka_services.client.staffing import staff_of
from talka_services.client.what_if import WhatIf, what_if
from talka_services.gateway.calls import Call
from talka_services.gateway.executions import ONE
from talka_services.gateway.operations import Operation
from talka_services.gateway.problems import bad_request
from talka_services.gateway.roles import Role
from talka_services.strategies import fault_of

AMOUNT_MAX = 1e9
Amount = Annotated[float, Meta(ge=0, le=AMOUNT_MAX)]


class Wish(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be other than it was; what is left out stays.

    ``strategy`` is a built-in one or one that a package brings. ``pool`` is one whose workers, amounts and
    quotas of now count. There are then ``workers`` of the largest, ``capacity`` is what each of them
    has, ``shared`` what the pool has as a whole, and ``quota`` what the execution's tenant may have of it.
    ``faster`` multiplies the run time of single tasks, ``time_scale`` that of all.
    """

    strategy: str = ""
    pool: str = ""
    max_parallel: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    workers: Annotated[int, Meta(ge=1, le=1000)] | None = None
    capacity: dict[str, Amount] = field(default_factory=dict[str, Amount])
    shared: dict[str, Amount] = field(default_factory=dict[str, Amount])
    quota: dict[str, Amount] = field(default_factory=dict[str, Amount])
    faster: dict[str, Amount] = field(default_factory=dict[str, Amount])
    time_scale: Annotated[float, Meta(ge=0, le=1e6)] = 1.0


async def simulate_execution(call: Call, execution_id: str, body: Wish) -> WhatIf:
    """Simulate an execution on record with something other than it was, beside how it really went.

    Each task takes what it took, on the workers that its pool had then, unless another is named. Nothing is
    started.
    """
    config: WorkflowConfig | None = None
    if body.strategy or body.max_parallel is not None:
        state = await call.whole.execution(execution_id)
        config = _config(state.workflow.config if state.workflow else WorkflowConfig(), body)
    change = Change(
        config=config,
        staff=await staff_of(call.orchestrator.histories, body.pool) if body.pool else None,
        workers=body.workers,
        capacity=body.capacity,
        shared=body.shared,
        quota=body.quota,
        time_scale=body.time_scale,
    )
    return await what_if(call.whole, execution_id, change, body.faster)


def _config(config: WorkflowConfig, body: Wish) -> WorkflowConfig:
    if body.max_parallel is not None:
        config = replace(config, max_parallel=body.max_parallel)
    name = body.strategy
    if name and (fault := fault_of(name)):
        what, hint = fault
        raise bad_request("bad_body", what, hint=hint)
    return by_strategy(config, name) if name else config


OPERATIONS = (Operation("POST", f"{ONE}/simulate", simulate_execution, "insight", role=Role.VIEWER),)
