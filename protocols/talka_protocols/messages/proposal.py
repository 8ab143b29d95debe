"""To the scheduler: another plan for an execution under way."""

from __future__ import annotations

from talka_protocols.baseline import Baseline
from talka_protocols.messages.kinds import ToExecution


class ProposeBaseline(ToExecution, frozen=True, gc=False):
    """A search has found a shorter schedule for an execution under way; heard once under its id.

    ``plan_version`` is that of the plan which the search looked at: by another one the proposal is stale.
    """

    request_id: str
    plan_version: int
    baseline: Baseline
