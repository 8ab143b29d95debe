"""What was, and what would be: an execution at any of its events, and a workflow that does not run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from talka_core.default_strategy import with_default_strategy
from talka_core.simulation import Offer, simulate, within
from talka_core.simulation.result import SimulatedRun
from talka_core.status import status_of
from talka_core.validation import check
from talka_protocols.errors import CallerError
from talka_protocols.results import ExecutionStatus
from talka_protocols.workflow import Strategy, Workflow
from talka_services.client.histories import Histories
from talka_services.client.staffing import staff_of


class Recalling:
    """The operations that only read, and change nothing."""

    histories: Histories

    async def replay(self, execution_id: str, at: int | None = None) -> ExecutionStatus:
        """Return where an execution stood right after its event ``at`` (from 1), or stands now.

        Raises:
            UnknownExecutionError: there is no such execution.
            CallerError: it has no such event.
        """
        state = await self.histories.execution(execution_id, at)
        if at is not None and state.version != at:
            raise CallerError(
                f"The execution {execution_id!r} has no event {at}: it has {state.version} so far.",
                hint="Count from 1; `talka events ID` shows them.",
            )
        return status_of(state)

    async def simulate(
        self,
        workflow: Workflow,
        *,
        strategy: Strategy | str | None = None,
        workers: Sequence[Mapping[str, float]] | None = None,
        shared: Mapping[str, float] | None = None,
    ) -> SimulatedRun:
        """Return how a workflow would go, by its estimates, with the real actors in virtual time.

        Nothing of it is recorded. It takes seconds for large workflows, in a
        thread of its own.

        Args:
            workflow: As it would be executed.
            strategy: Another one than the workflow's.
            workers: What each of them offers, by resource; the workers of the workflow's pool unless given.
            shared: What they have as a whole; what the pool has unless workers are given.

        Raises:
            WorkflowInvalidError: it cannot run.
            CallerError: nobody is there whom it could run on.
            SimulationStuckError: it would wait for ever, say for a resource that nobody offers.
        """
        if strategy is not None:
            workflow = replace(workflow, config=replace(workflow.config, strategy=strategy))
        checked = check(workflow)
        if workers is None:
            staff = await staff_of(self.histories, checked.config.pool)
            offers, shared = staff.offers, staff.shared
            checked = with_default_strategy(checked, checked.config.pool, staff.strategy)
            checked = within(checked, staff.quotas.get(checked.config.tenant, {}))
        else:
            offers = tuple(Offer(capacity) for capacity in workers)
        return await asyncio.to_thread(simulate, checked, offers, shared)
