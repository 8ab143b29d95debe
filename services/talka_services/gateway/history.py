"""What has happened: events, states at any event, and where executions part."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, cast

from msgspec import UNSET, Meta, Struct, UnsetType

from talka_core.comparison import Comparison
from talka_core.scheduler import ExecutionRecord
from talka_core.steps import Change, steps
from talka_protocols.errors import RequestRefusedError, UnknownExecutionError
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION, PLAN, POOL, LogName
from talka_services.client.comparing import compared, told
from talka_services.client.tailing import event_documents
from talka_services.gateway.calls import Call
from talka_services.gateway.documents import (
    EventDocument,
    ExecutionDocument,
    TaskDocument,
    document_of,
    task_documents,
)
from talka_services.gateway.executions import ONE
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged, place_in
from talka_services.gateway.problems import VERSION_MAX


class Span(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"first": "from"}):
    """Which part of a log."""

    first: Annotated[int, Meta(ge=1, le=VERSION_MAX, description="Begin at this event.")] = 1

    @property
    def begin(self) -> int:
        """Return the first event that may be on this page."""
        return max(self.first, place_in(self.cursor, int) + 1) if self.cursor else self.first


class EventFilters(Span, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which events are listed."""

    type: Annotated[tuple[str, ...], Meta(description="Only events of this type; repeatable.")] = ()
    task: Annotated[tuple[str, ...], Meta(description="Only events of this task; repeatable.")] = ()


class EventPage(Struct, frozen=True):
    """Some events in order; ``next`` is the cursor of the next page, null at the end."""

    events: list[EventDocument]
    next: str | None


async def list_events(call: Call, execution_id: str, query: EventFilters) -> EventPage:
    """List the events of an execution."""
    return await _events(call, call.histories.name(execution_id), query)


async def list_plan_events(call: Call, execution_id: str, query: EventFilters) -> EventPage:
    """List what the planner decided about an execution, and why."""
    execution = call.histories.name(execution_id)
    return await _events(call, LogName(PLAN, execution.shard, execution_id), query)


async def list_pool_events(call: Call, pool: str, query: EventFilters) -> EventPage:
    """List the events of a pool: its workers, what was granted and given back."""
    return await _events(call, LogName(POOL, "-", pool), query)


async def list_schedule_events(call: Call, name: str, query: EventFilters) -> EventPage:
    """List the events of a schedule."""
    return await _events(call, call.histories.schedule_name(name), query)


async def list_trigger_events(call: Call, name: str, query: EventFilters) -> EventPage:
    """List the events of a trigger."""
    return await _events(call, call.histories.trigger_name(name), query)


async def _events(call: Call, log: LogName, query: EventFilters) -> EventPage:
    commits = await call.whole.commits(log)
    if not commits:
        raise _nothing(log)
    begin = query.begin
    wanted = (
        document
        for position, commit in commits
        if commit.version + len(commit) > begin
        for document in event_documents(log, position, commit, begin)
        if _is_wanted(document, query)
    )
    found, following = paged(wanted, lambda document: document["version"], query, int)
    return EventPage(cast("list[EventDocument]", found), following)


def _is_wanted(document: Mapping[str, Any], query: EventFilters) -> bool:
    return (not query.type or document["type"] in query.type) and (
        not query.task or document.get("task_id") in query.task
    )


def _nothing(log: LogName) -> Exception:
    if log.kind in (EXECUTION, PLAN):
        return UnknownExecutionError(log.key)
    return RequestRefusedError(f"There is no {log.kind} {log.key!r} here.", code=f"unknown_{log.kind}")


# --- states ---------------------------------------------------------------------------------------


class At(Struct, frozen=True, forbid_unknown_fields=True):
    """Which event."""

    at: Annotated[
        Annotated[int, Meta(ge=1, le=VERSION_MAX)] | None,
        Meta(description="After this event; now if left out."),
    ] = None


class Allocation(Struct, frozen=True):
    """What an execution holds of its pool, or is giving back."""

    allocation_id: str
    task_id: str
    worker: str | None
    fence: int
    is_returning: bool


class StateAt(Struct, frozen=True):
    """How an execution, its tasks and its allocations stood after an event."""

    execution: ExecutionDocument
    tasks: list[TaskDocument]
    allocations: list[Allocation]


async def get_state(call: Call, execution_id: str, query: At) -> StateAt:
    """Fold an execution's log to any event, and return the state there."""
    state = await call.whole.execution(execution_id, query.at)
    if query.at is not None and query.at > state.version:
        raise _no_event(execution_id, query.at, state.version)
    return StateAt(document_of(state), task_documents(state), _allocations(state))


def _allocations(state: ExecutionRecord) -> list[Allocation]:
    holding = (TaskStatus.SCHEDULED, TaskStatus.RUNNING)
    held = [
        Allocation(task.allocation_id, task_id, task.worker_id, task.fence, is_returning=False)
        for task_id, task in state.tasks.items()
        if task.status in holding and task.allocation_id
    ]
    return held + [
        Allocation(allocation_id, item.holder.task_id, None, item.fence, is_returning=True)
        for allocation_id, item in state.returning.items()
    ]


class StepDocument(Struct, frozen=True):
    """One event, and what it changed: from what to what."""

    version: int
    at: float
    type: str
    tasks: dict[str, Change]
    task_id: str | UnsetType = UNSET
    execution: Change | UnsetType = UNSET


class StepPage(Struct, frozen=True):
    """Some steps in order; ``next`` is the cursor of the next page, null at the end."""

    steps: list[StepDocument]
    next: str | None


async def list_steps(call: Call, execution_id: str, query: Span) -> StepPage:
    """Go through an execution's events with what each of them changed."""
    commits = [commit for _, commit in await call.whole.commits(call.whole.name(execution_id))]
    if not commits:
        raise UnknownExecutionError(execution_id)
    behind = islice(steps(execution_id, commits), query.begin - 1, None)
    found, following = paged(behind, lambda step: step.version, query, int)
    chosen = [
        StepDocument(
            step.version,
            step.at / 1000,
            type(step.event).__name__,
            step.tasks,
            getattr(step.event, "task_id", "") or UNSET,
            step.execution if step.execution is not None else UNSET,
        )
        for step in found
    ]
    return StepPage(chosen, following)


async def compare_executions(call: Call, execution_id: str, other: str) -> Comparison:
    """Compare two executions: the first event that differs, definitions, inputs, results and times."""
    return compared(await told(call.whole, execution_id), await told(call.whole, other))


def _no_event(execution_id: str, at: int, last: int) -> RequestRefusedError:
    return RequestRefusedError(
        f"There is no event {at}: the log of {execution_id!r} ends at {last}.", code="unknown_event"
    )


OPERATIONS = (
    Operation("GET", f"{ONE}/events", list_events, "history"),
    Operation("GET", f"{ONE}/plan/events", list_plan_events, "history"),
    Operation("GET", f"{ONE}/state", get_state, "history"),
    Operation("GET", f"{ONE}/steps", list_steps, "history"),
    Operation("GET", f"{ONE}/diff/{{other}}", compare_executions, "history"),
    Operation("GET", "/pools/{pool}/events", list_pool_events, "pools"),
    Operation("GET", "/schedules/{name}/events", list_schedule_events, "schedules"),
    Operation("GET", "/triggers/{name}/events", list_trigger_events, "triggers"),
)
