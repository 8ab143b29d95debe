"""Executions: submitting them, finding them, and how they and their tasks stand."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from talka_core.scheduler.inputs import inputs_of
from talka_core.scheduler.state import ExecutionRecord
from talka_core.status import result_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck, Task, Workflow
from talka_services.formats.document import WorkflowFile
from talka_services.gateway.calls import ANSWER_S, Call
from talka_services.gateway.definitions import BYTES_MAX, MEDIA, Limits, brought
from talka_services.gateway.documents import (
    ExecutionDocument,
    TaskDocument,
    document_of,
    large_value,
    task_document,
    task_documents,
)
from talka_services.gateway.listing import Filters, Page, page_of
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.problems import INSTANT_MAX, SECONDS_MAX, HttpError, bad_request
from talka_services.gateway.roles import Role

WAIT_MAX_S = 60.0


class Submission(Limits, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a workflow is started."""

    at: Annotated[
        Annotated[float, Meta(ge=0, le=INSTANT_MAX)] | None, Meta(description="Start then, in Unix seconds.")
    ] = None
    debounce: Annotated[str, Meta(description="One execution for a burst of submissions with this key.")] = ""
    quiet_seconds: Annotated[
        float, Meta(gt=0, le=SECONDS_MAX, description="How long a burst must have ended.")
    ] = 1.0


class Submitted(Struct, frozen=True):
    """An execution that was accepted; ``execution`` is missing where it begins later."""

    execution_id: str
    status: ExecutionState
    execution: ExecutionDocument | UnsetType = UNSET


async def submit_workflow(call: Call, query: Submission, body: bytes) -> Submitted:
    """Start a workflow: a Talka file or a WfFormat instance.

    Under an Idempotency-Key the execution's id is derived from the key, as by
    `talka submit --key`: submitting again answers with the same execution, and
    another workflow under the key is refused. 201 says that it has begun, 202 that it is on file.
    """
    workflow = await brought(call, body, query)
    orchestrator = call.orchestrator
    if query.debounce:
        if query.at is not None or call.key is not None:
            raise bad_request("bad_parameter", "debounce goes neither with at nor with an Idempotency-Key.")
        debounced = orchestrator.debounce_workflow(workflow, query.debounce, query.quiet_seconds)
        return _later(call, await call.answered(debounced))
    execution_id = await call.taken(orchestrator.submit_workflow(workflow, key=call.key, at=query.at))
    if query.at is not None:
        return _later(call, execution_id)
    return await begun(call, execution_id, workflow)


async def begun(call: Call, execution_id: str, workflow: Workflow | None = None) -> Submitted:
    """Wait a moment for an execution to begin, so that whoever asks for it next finds it.

    Raises:
        HttpError: the key was used for another workflow before.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            await call.orchestrator.until_begun(execution_id)
            state = await call.histories.execution(execution_id)
            recorded = state.workflow
            if workflow is not None and recorded is not None and recorded.id != workflow.id:
                raise HttpError(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    "key_reused",
                    f"The Idempotency-Key was used for another workflow, as execution {execution_id!r}.",
                    hint="Give each piece of work a key of its own.",
                )
            document = document_of(state)
            call.headers["Location"] = f"/api/v1/executions/{execution_id}"
            return Submitted(execution_id, document.status, document)
    return _later(call, execution_id)


def _later(call: Call, execution_id: str) -> Submitted:
    call.status = HTTPStatus.ACCEPTED
    call.headers["Location"] = f"/api/v1/executions/{execution_id}"
    return Submitted(execution_id, ExecutionState.ACCEPTED)


async def list_executions(call: Call, query: Filters) -> Page:
    """List executions, newest first, a page at a time."""
    order, position = await call.overview.standings()
    return page_of(order, call.overview.standing, query, position)


class Parked(Struct, frozen=True):
    """A task that somebody must decide about: too many of its attempts were lost with their workers."""

    execution_id: str
    task_id: str


class ParkedTasks(Struct, frozen=True):
    """What waits to be released, by execution; ``next`` is the cursor of the next page, null at the end."""

    parked: list[Parked]
    next: str | None


async def list_parked(call: Call, query: Paging) -> ParkedTasks:
    """List the parked tasks of all executions; `release` lets them run again or have failed."""
    order, _ = await call.overview.standings()
    statuses = [call.overview.standing(name).status for _, name in order]
    found = sorted((each.execution_id, task) for each in statuses for task in each.parked)
    chosen, following = paged(found, lambda place: place, query, tuple[str, str])
    return ParkedTasks([Parked(*place) for place in chosen], following)


class Awaiting(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for a change."""

    wait: Annotated[
        float, Meta(ge=0, le=WAIT_MAX_S, description="Answer when it is over, or after so many seconds.")
    ] = 0.0


async def get_execution(call: Call, execution_id: str, query: Awaiting) -> ExecutionDocument:
    """Say where an execution stands, at once or when it is over.

    With ``wait`` it may also be one that has yet to begin, such as a trigger has named it.
    """
    if query.wait:
        await call.within(query.wait, _until_over(call, execution_id))
    return await call.recent.document(execution_id)


async def _until_over(call: Call, execution_id: str) -> None:
    await call.orchestrator.until_begun(execution_id)
    found = await call.recent.document(execution_id)
    if found.status not in FINAL_EXECUTION_STATES:
        await call.orchestrator.wait(execution_id, load_results=False)


async def get_workflow(call: Call, execution_id: str) -> Workflow:
    """Return the definition that an execution runs, with what was added to it."""
    state = await call.whole.execution(execution_id)
    if state.workflow is None:
        raise RequestRefusedError(f"The execution {execution_id!r} was rejected.", code="not_begun")
    return state.workflow


class Results(Struct, frozen=True):
    """How an execution ended, or how far it has come, with the result of each task."""

    execution_id: str
    status: ExecutionState
    makespan_s: float | None
    tasks: dict[str, TaskDocument]
    reason: str = ""
    alerts: tuple[str, ...] = ()


async def get_results(call: Call, execution_id: str) -> Results:
    """Return what `talka run --json` prints: every task's result; large ones are named only."""
    result = result_of(await call.whole.execution(execution_id))
    tasks = {task_id: task_document(task) for task_id, task in result.tasks.items()}
    return Results(execution_id, result.status, result.makespan_s, tasks, result.reason, result.alerts)


class TaskFilters(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which tasks are listed."""

    status: Annotated[tuple[TaskStatus, ...], Meta(description="Only tasks in this status; repeatable.")] = ()


class TaskPage(Struct, frozen=True):
    """Some tasks in the order of the definition; ``next`` is the cursor of the next page, null at the end."""

    tasks: list[TaskDocument]
    total: int
    next: str | None


async def list_tasks(call: Call, execution_id: str, query: TaskFilters) -> TaskPage:
    """List the tasks of an execution."""
    found = task_documents(await call.whole.execution(execution_id))
    chosen = [task for task in found if not query.status or task.status in query.status]
    numbered, following = paged(enumerate(chosen), lambda item: item[0], query, int)
    return TaskPage([task for _, task in numbered], len(chosen), following)


class TaskDetail(Struct, frozen=True):
    """One task: how it stands, how it is defined, and what it waits for.

    ``inputs`` are the values that the references in its payload stand for, by reference, as far as
    they are known; what lies in a stored result is a ``LargeValue``.
    """

    task: TaskDocument
    definition: Task | None
    needs: tuple[str, ...]
    needed_by: tuple[str, ...]
    inputs: dict[str, Any]


async def get_task(call: Call, execution_id: str, task_id: str) -> TaskDetail:
    """Show one task."""
    state = await call.whole.execution(execution_id)
    result = result_of(state).tasks.get(task_id)
    if result is None:
        raise _unknown_task(execution_id, task_id)
    workflow = state.workflow
    edges = workflow.dependencies if workflow is not None else ()
    return TaskDetail(
        task_document(result),
        state.index.tasks.get(task_id),
        tuple(edge.from_task for edge in edges if edge.to_task == task_id),
        tuple(edge.to_task for edge in edges if edge.from_task == task_id),
        _inputs(state, task_id),
    )


def _inputs(state: ExecutionRecord, task_id: str) -> dict[str, Any]:
    values, excerpts = inputs_of(state, task_id)
    stored = {text: large_value(excerpt.claim) for text, excerpt in excerpts.items()}
    return dict(sorted({**values, **stored}.items()))


async def get_result(call: Call, execution_id: str, task_id: str) -> Any:
    """Return the result of a task that succeeded, as it is, however large."""
    state = await call.whole.execution(execution_id)
    result = result_of(state).tasks.get(task_id)
    if result is None:
        raise _unknown_task(execution_id, task_id)
    if result.status is not TaskStatus.SUCCEEDED:
        raise RequestRefusedError(
            f"The task {task_id!r} has no result: it is {result.status}.", code="not_ended"
        )
    if isinstance(result.result, ClaimCheck):
        return Raw(await call.whole.value(execution_id, result.result))
    return result.result


def _unknown_task(execution_id: str, task_id: str) -> RequestRefusedError:
    return RequestRefusedError(
        f"The execution {execution_id!r} has no task {task_id!r}.", code="unknown_task"
    )


async def validate_workflow(call: Call, query: Limits, body: bytes) -> Workflow:
    """Check a workflow without starting it, and return it complete: every dependency, and its id."""
    return await brought(call, body, query)


_CREATED = (HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
ONE = "/executions/{execution_id}"
TASK = f"{ONE}/tasks/{{task_id}}"
OPERATIONS = (
    Operation(
        "POST",
        "/executions",
        submit_workflow,
        "executions",
        _CREATED,
        is_keyed=True,
        media=MEDIA,
        document=WorkflowFile,
        limit_bytes=BYTES_MAX,
    ),
    Operation("GET", "/executions", list_executions, "executions"),
    Operation("GET", ONE, get_execution, "executions"),
    Operation("GET", f"{ONE}/workflow", get_workflow, "executions"),
    Operation("GET", f"{ONE}/results", get_results, "executions"),
    Operation("GET", f"{ONE}/tasks", list_tasks, "tasks"),
    Operation("GET", TASK, get_task, "tasks"),
    Operation("GET", f"{TASK}/result", get_result, "tasks"),
    Operation("GET", "/parked", list_parked, "tasks"),
    Operation(
        "POST",
        "/workflows/validate",
        validate_workflow,
        "executions",
        role=Role.VIEWER,
        media=MEDIA,
        document=WorkflowFile,
        limit_bytes=BYTES_MAX,
    ),
)
