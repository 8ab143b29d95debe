"""What an explanation looks at: the states of all actors that have to do with a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from talka_core.planner import PlanRecord
from talka_core.resource import PoolRecord
from talka_core.resource.state import Grant
from talka_core.scheduler import ExecutionRecord
from talka_core.starter import ScheduleRecord
from talka_protocols.events import Holder
from talka_protocols.explanations import Cause, Holding

SHOWN_MAX = 5
"""How many names a sentence lists."""


class Picture(Struct, frozen=True):
    """The newest known states by id at one instant (Unix milliseconds); what is missing is unknown.

    ``executions`` holds the sub-workflows that are waited for as well.
    """

    now_ms: int
    executions: Mapping[str, ExecutionRecord] = field(default_factory=dict[str, ExecutionRecord])
    plans: Mapping[str, PlanRecord] = field(default_factory=dict[str, PlanRecord])
    pools: Mapping[str, PoolRecord] = field(default_factory=dict[str, PoolRecord])
    schedules: Mapping[str, ScheduleRecord] = field(default_factory=dict[str, ScheduleRecord])


class Subject(Struct, frozen=True):
    """The task that is asked about, in its execution."""

    picture: Picture
    state: ExecutionRecord
    task_id: str

    @property
    def cause(self) -> partial[Cause]:
        """Return what makes causes about this task."""
        return partial(Cause, execution_id=self.state.execution_id, task_id=self.task_id)

    @property
    def pool(self) -> PoolRecord | None:
        """Return the pool that the task would run on, if it is known."""
        return self.picture.pools.get(self.state.pool)

    def about(self, task_id: str) -> Subject:
        """Return another task of the same execution."""
        return Subject(self.picture, self.state, task_id)


def seconds(instant_ms: int) -> float | None:
    """Return an instant in Unix seconds, None for never."""
    return instant_ms / 1000 if instant_ms else None


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence, the first few of many."""
    found = list(names)
    more = f" and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
    return ", ".join(found[:SHOWN_MAX]) + more


def span(milliseconds: int) -> str:
    """Return a duration for a sentence."""
    total = max(0, milliseconds) / 1000
    if total < 60:
        return f"{total:.1f} s" if total < 10 else f"{total:.0f} s"
    minutes, rest = divmod(round(total), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def holding_of(grant: Grant, amount: float) -> Holding:
    """Return what one allocation holds of something."""
    holder = grant.holder
    return Holding(
        amount,
        holder.execution_id,
        holder.task_id,
        holder.attempt,
        holder.client_id,
        worker_id=grant.worker_id,
        since=seconds(grant.granted_at),
    )


def named(holder: Holder | Holding) -> str:
    """Return who holds or wants something, for a sentence."""
    if isinstance(holder, Holding) and holder.reservation_id:
        return f"reservation {holder.reservation_id} of client {holder.client_id}"
    if holder.client_id:
        return f"client {holder.client_id}"
    if not holder.execution_id:
        return "a lost worker or client"
    return f"{holder.execution_id}/{holder.task_id}/{holder.attempt}"
