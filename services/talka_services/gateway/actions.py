"""What is asked of executions that have begun, and of their tasks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from talka_core.payloads import APPROVE
from talka_core.status import result_of
from talka_protocols.policies import Then
from talka_protocols.results import RollbackPlan
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Strategy
from talka_services.gateway.calls import Call
from talka_services.gateway.executions import ONE, TASK, Submitted, begun
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.problems import SECONDS_MAX, VERSION_MAX, bad_request
from talka_services.gateway.roles import Role


class Recorded(Struct, frozen=True):
    """What became of a request: ``is_recorded``, or only on file (202) until a service runs.

    ``status`` is the execution's by then, and ``plan`` that of a rollback.
    """

    execution_id: str
    is_recorded: bool
    status: ExecutionState
    task_id: str | UnsetType = UNSET
    plan: RollbackPlan | UnsetType = UNSET


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for people."""

    reason: str = ""


class Cancel(Struct, frozen=True, forbid_unknown_fields=True):
    """How to stop; with ``force`` what runs is killed at once instead of asked to end."""

    reason: str = ""
    force: bool = False


class Resume(Struct, frozen=True, forbid_unknown_fields=True):
    """How to go on; ``seconds`` is the time limit from now on."""

    seconds: Annotated[float, Meta(gt=0, le=SECONDS_MAX)] | None = None


class Restart(Struct, frozen=True, forbid_unknown_fields=True):
    """From where: a task, with all behind it, or an event; else what did not succeed.

    With ``checkpoint``, an event, the task goes on from what it had saved by then.
    """

    from_task: str = ""
    from_event: Annotated[int, Meta(ge=0, le=VERSION_MAX)] = 0
    checkpoint: Annotated[int, Meta(ge=0, le=VERSION_MAX)] = 0


class Rollback(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to: an event, or a task's end. With ``dry_run`` nothing is done, and the plan is returned."""

    to: Annotated[int, Meta(ge=0, le=VERSION_MAX)] | str
    then: Then = Then.CONTINUE
    accept_irreversible: bool = False
    dry_run: bool = False


class Fork(Struct, frozen=True, forbid_unknown_fields=True):
    """At which event."""

    at: Annotated[int, Meta(ge=1, le=VERSION_MAX)]


class Signal(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said, under which name."""

    name: str
    data: Any = None


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """What is answered to a task of type ``approval``, and by whom."""

    choice: str = APPROVE
    by: str = ""
    comment: str = ""


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """The order of what has not started."""

    strategy: Strategy | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] | None = None


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a parked task: it runs again, or has failed."""

    fail: bool = False


# --- executions ----------------------------------------------------------------------------------


async def cancel_execution(call: Call, execution_id: str, body: Cancel) -> Recorded:
    """Ask an execution to stop; what is over already stays as it is."""
    orchestrator = call.orchestrator
    if execution_id not in orchestrator.submitted:
        await call.histories.latest(execution_id)
    asking = orchestrator.cancel_execution(
        execution_id, body.reason, is_forced=body.force, request_id=call.request_id
    )
    return await _told(call, execution_id, await call.recorded(asking))


async def pause_execution(call: Call, execution_id: str, body: Reason) -> Recorded:
    """Let nothing new start; what runs goes on."""
    asking = call.orchestrator.pause(execution_id, reason=body.reason, request_id=call.request_id)
    return await _told(call, execution_id, await call.recorded(asking))


async def resume_execution(call: Call, execution_id: str, body: Resume) -> Recorded:
    """Let the work go on: after a pause, or where the execution's time limit had ended it."""
    asking = call.orchestrator.resume(execution_id, seconds=body.seconds, request_id=call.request_id)
    return await _told(call, execution_id, await call.recorded(asking))


async def restart_execution(call: Call, execution_id: str, body: Restart) -> Recorded:
    """Run a task and all behind it again, or all that did not succeed; finished other work is kept."""
    asking = call.orchestrator.restart(
        execution_id,
        from_task=body.from_task,
        from_event=body.from_event,
        checkpoint=body.checkpoint,
        request_id=call.request_id,
    )
    return await _told(call, execution_id, await call.recorded(asking))


async def roll_back_execution(call: Call, execution_id: str, body: Rollback) -> Recorded:
    """Undo what came after an event, in reverse order, and run again from there or stop."""
    orchestrator = call.orchestrator
    if body.dry_run:
        plan = await orchestrator.plan_rollback(execution_id, body.to, accept_irreversible=True)
        return await _told(call, execution_id, is_recorded=False, plan=plan)
    asking = orchestrator.rollback(
        execution_id,
        body.to,
        then=body.then,
        accept_irreversible=body.accept_irreversible,
        request_id=call.request_id,
    )
    return await _told(call, execution_id, await call.recorded(asking))


async def fork_execution(call: Call, execution_id: str, body: Fork) -> Submitted:
    """Start a new execution from an event of this one; an Idempotency-Key gives it its id."""
    forking = call.orchestrator.fork(execution_id, body.at, key=call.key)
    return await begun(call, await call.taken(forking))


async def signal_execution(call: Call, execution_id: str, body: Signal) -> Recorded:
    """Send a signal; the first task that waits for its name ends with the data, now or later."""
    await call.histories.latest(execution_id)
    asking = call.orchestrator.signal(execution_id, body.name, body.data, signal_id=call.request_id or None)
    return await _told(call, execution_id, await call.recorded(asking))


async def reprioritize_execution(call: Call, execution_id: str, body: Order) -> Recorded:
    """Change the order of what has not started: by another strategy, or one priority for all its tasks."""
    if body.strategy is None and body.priority is None:
        raise bad_request("bad_body", "Nothing is to change.", hint="Give strategy, priority, or both.")
    strategy = "" if body.strategy is None else body.strategy.value
    asking = call.orchestrator.reprioritize(
        execution_id, strategy=strategy, priority=body.priority, request_id=call.request_id
    )
    return await _told(call, execution_id, await call.recorded(asking))


async def release_execution(call: Call, execution_id: str) -> Recorded:
    """Have the services try again to fold a log that they set aside as broken."""
    await call.orchestrator.release_execution(execution_id)
    return await _told(call, execution_id, is_recorded=True)


# --- tasks ---------------------------------------------------------------------------------------


async def cancel_task(call: Call, execution_id: str, task_id: str, body: Cancel) -> Recorded:
    """Ask one task to stop, and let the execution go on; it counts as failed to those that need it."""
    asking = call.orchestrator.cancel_task(
        execution_id, task_id, reason=body.reason, is_forced=body.force, request_id=call.request_id
    )
    return await _told(call, execution_id, await call.recorded(asking), task_id)


async def pause_task(call: Call, execution_id: str, task_id: str, body: Reason) -> Recorded:
    """Let one task not start until it is resumed."""
    asking = call.orchestrator.pause(execution_id, task_id, reason=body.reason, request_id=call.request_id)
    return await _told(call, execution_id, await call.recorded(asking), task_id)


async def resume_task(call: Call, execution_id: str, task_id: str) -> Recorded:
    """Let a task go on that was paused by itself."""
    asking = call.orchestrator.resume(execution_id, task_id, request_id=call.request_id)
    return await _told(call, execution_id, await call.recorded(asking), task_id)


async def release_task(call: Call, execution_id: str, task_id: str, body: Release) -> Recorded:
    """Let a parked task run again, or have failed."""
    asking = call.orchestrator.release_task(
        execution_id, task_id, is_failed=body.fail, request_id=call.request_id
    )
    return await _told(call, execution_id, await call.recorded(asking), task_id)


async def answer_task(call: Call, execution_id: str, task_id: str, body: Answer) -> Recorded:
    """Answer what a task of type `approval` asks."""
    await call.histories.latest(execution_id)
    asking = call.orchestrator.approve(
        execution_id,
        task_id,
        body.choice,
        by=body.by,
        comment=body.comment,
        request_id=call.request_id,
    )
    return await _told(call, execution_id, await call.recorded(asking), task_id)


class Question(Struct, frozen=True):
    """What a task asks: its ``choices``, until when (Unix seconds), and whom."""

    task_id: str
    question: str
    choices: tuple[str, ...]
    assignees: tuple[str, ...]
    until: float | None


class Questions(Struct, frozen=True):
    """What waits for an answer, in the order of the definition; ``next`` is the cursor of the next page."""

    execution_id: str
    questions: list[Question]
    next: str | None


async def list_questions(call: Call, execution_id: str, query: Paging) -> Questions:
    """List what the tasks of an execution ask."""
    tasks = result_of(await call.histories.execution(execution_id)).tasks.values()
    asked = [(task.task_id, task.waiting) for task in tasks if task.waiting is not None]
    found = [
        Question(
            task_id,
            waiting.data["question"],
            tuple(waiting.data["choices"]),
            tuple(waiting.data["assignees"]),
            waiting.until,
        )
        for task_id, waiting in asked
        if waiting.kind == "approval"
    ]
    chosen, following = paged(enumerate(found), lambda item: item[0], query, int)
    return Questions(execution_id, [each for _, each in chosen], following)


async def _told(
    call: Call,
    execution_id: str,
    is_recorded: bool,
    task_id: str = "",
    plan: RollbackPlan | UnsetType = UNSET,
) -> Recorded:
    status = (await call.orchestrator.get_execution_status(execution_id)).status
    return Recorded(execution_id, is_recorded, status, task_id or UNSET, plan)


_ASKED = (HTTPStatus.OK, HTTPStatus.ACCEPTED)
_BEGUN = (HTTPStatus.CREATED, HTTPStatus.ACCEPTED)


def _ask(path: str, handler: Any, *, role: Role | None = None) -> Operation:
    tag = "tasks" if path.startswith(TASK) else "executions"
    return Operation("POST", path, handler, tag, _ASKED, is_keyed=True, role=role)


OPERATIONS = (
    _ask(f"{ONE}/cancel", cancel_execution),
    _ask(f"{ONE}/pause", pause_execution),
    _ask(f"{ONE}/resume", resume_execution),
    _ask(f"{ONE}/restart", restart_execution),
    _ask(f"{ONE}/rollback", roll_back_execution),
    Operation("POST", f"{ONE}/fork", fork_execution, "executions", _BEGUN, is_keyed=True),
    _ask(f"{ONE}/signals", signal_execution),
    _ask(f"{ONE}/reprioritize", reprioritize_execution),
    _ask(f"{ONE}/release", release_execution, role=Role.ADMIN),
    Operation("GET", f"{ONE}/questions", list_questions, "tasks"),
    _ask(f"{TASK}/cancel", cancel_task),
    _ask(f"{TASK}/pause", pause_task),
    _ask(f"{TASK}/resume", resume_task),
    _ask(f"{TASK}/release", release_task),
    _ask(f"{TASK}/answer", answer_task),
)
