"""The planner: is the workflow valid, and what follows from its graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import assert_never

from msgspec import Struct, field

from talka_core.behaviour import Behaviour, Effect, Improve, Send
from talka_core.extension import judge
from talka_core.graph import CyclicGraphError, TaskGraph, analyse, lower_bound
from talka_core.inputs import check_bound
from talka_core.search import fault_of, ruled
from talka_core.search.bounds import resource_bound
from talka_core.strategies import planned_order
from talka_core.validation import check
from talka_protocols.baseline import Baseline
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import (
    ExtensionJudged,
    Origin,
    Parent,
    PlanAccepted,
    PlanEvent,
    PlanHandedOver,
    PlanRejected,
)
from talka_protocols.messages import (
    Advance,
    AnswerExtension,
    ConfirmChild,
    ExecutionRecorded,
    ExtendPlan,
    FiringRecorded,
    PlannerMessage,
    Recipient,
    Refusal,
    StartExecution,
    SubmissionRecorded,
    SubmitWorkflow,
)
from talka_protocols.states import FINAL_TASK_STATUSES
from talka_protocols.subjects import PLAN
from talka_protocols.workflow import ClaimCheck, Strategy, Task, Workflow


class PlanRecord(Struct):
    """What the planner remembers of one execution."""

    execution_id: str
    version: int = 0
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    refusal: Refusal | None = None
    name: str = ""
    schedule: str = ""
    trigger: str = ""
    origin: Origin | None = None
    order: tuple[int, ...] = ()
    baseline: Baseline | None = None
    improve_s: float = 0.0
    is_handed_over: bool = False
    parent: Parent | None = None
    judged: dict[str, ExtensionJudged] = field(default_factory=dict[str, ExtensionJudged])

    @property
    def is_decided(self) -> bool:
        """Tell whether the workflow was accepted or refused."""
        return self.workflow is not None or self.refusal is not None


def decide(state: PlanRecord, message: PlannerMessage, _now_ms: int) -> Iterator[PlanEvent]:
    """Yield what the message makes happen; a repeated submission makes nothing happen."""
    match message:
        case SubmitWorkflow():
            if not state.is_decided:
                yield _judge(message)
        case ExecutionRecorded():
            if state.is_decided and not state.is_handed_over:
                yield PlanHandedOver()
        case ExtendPlan():
            if _key(message) not in state.judged:
                yield _judge_extension(message)
        case Advance():
            pass


def _judge(message: SubmitWorkflow) -> PlanEvent:
    submitted = message.workflow
    if submitted is None:
        # The shell loads what is named before it delivers this: here nothing was named either.
        return _rejected(message, "", "no_workflow", "The request holds no workflow, and names none.")
    try:
        workflow = check_bound(check(submitted))
        order = planned_order(workflow, message.capacity)
    except WorkflowInvalidError as error:
        return _rejected(message, submitted.name, error.code, str(error))
    if message.definition is not None and workflow != submitted:
        reason = "A definition stored by digest must be complete: check it before it is stored."
        return _rejected(message, submitted.name, "incomplete_definition", reason)
    if message.origin is not None and not _fits(message.origin, workflow):
        reason = "A fork can only take over tasks of its own workflow, each once and ended."
        return _rejected(message, submitted.name, "bad_origin", reason)
    if not (isfinite(message.improve_s) and message.improve_s >= 0):
        return _rejected(message, submitted.name, "bad_improvement", "A time to search is 0 s or more.")
    baseline = message.baseline
    if baseline is not None and (reason := fault_of(workflow, baseline)):
        return _rejected(message, submitted.name, "bad_baseline", reason)
    if baseline is None and workflow.config.strategy is Strategy.RESOURCE_OPTIMIZED:
        baseline = ruled(workflow, message.capacity)
    found = analyse(workflow)
    return PlanAccepted(
        workflow,
        message.definition,
        found.critical_path,
        len(found.stages),
        found.critical_seconds,
        max(lower_bound(workflow, found, message.capacity), resource_bound(workflow, message.capacity)),
        message.parent,
        message.schedule,
        message.origin,
        order,
        message.trigger,
        baseline,
        message.improve_s,
    )


def _rejected(message: SubmitWorkflow, name: str, code: str, reason: str) -> PlanRejected:
    return PlanRejected(code, reason, name, message.parent, message.schedule, message.trigger)


def _fits(origin: Origin, workflow: Workflow) -> bool:
    ids = [adopted.task_id for adopted in origin.tasks]
    grown = [*workflow.tasks, *(task for addition in origin.added for task in addition.tasks)]
    known = {task.id for task in grown}
    is_known = set(ids) <= known and len(grown) == len(known) and len(ids) == len(set(ids))
    are_ended = all(adopted.status in FINAL_TASK_STATUSES for adopted in origin.tasks)
    return is_known and are_ended and _is_graph(origin, workflow, grown)


def _is_graph(origin: Origin, workflow: Workflow, grown: Sequence[Task]) -> bool:
    """Tell whether the graph is still one without cycles, and knows all that it names."""
    edges = (*workflow.dependencies, *(edge for added in origin.added for edge in added.dependencies))
    ids = [task.id for task in grown]
    if not all({edge.from_task, edge.to_task} <= set(ids) for edge in edges):
        return False
    try:
        TaskGraph(ids, ((edge.from_task, edge.to_task) for edge in edges)).levels()
    except CyclicGraphError:
        return False
    return True


def _judge_extension(message: ExtendPlan) -> ExtensionJudged:
    try:
        found = judge(message.graph, message.pending, message.extension)
    except WorkflowInvalidError as error:
        return ExtensionJudged(message.task_id, message.attempt, code=error.code, message=str(error))
    return ExtensionJudged(message.task_id, message.attempt, found)


def _key(asked: ExtendPlan | ExtensionJudged) -> str:
    return f"{asked.task_id}/{asked.attempt}"


def evolve(state: PlanRecord, event: PlanEvent, _at: int) -> None:
    """Remember one fact; total, and nothing else."""
    state.version += 1
    match event:
        case PlanAccepted():
            assert event.workflow is not None, "the shell loads a definition before it folds PlanAccepted"
            state.workflow, state.definition = event.workflow, event.definition
            state.name, state.parent = event.workflow.name, event.parent
            state.schedule, state.origin, state.order = event.schedule, event.origin, event.order
            state.trigger = event.trigger
            state.baseline, state.improve_s = event.baseline, event.improve_s
        case PlanRejected():
            state.refusal, state.name = Refusal(event.code, event.message), event.name
            state.parent, state.schedule = event.parent, event.schedule
            state.trigger = event.trigger
        case PlanHandedOver():
            state.is_handed_over = True
        case ExtensionJudged():
            state.judged[_key(event)] = event
        case _:
            assert_never(event)


def react(state: PlanRecord, event: PlanEvent) -> Iterator[Effect]:
    """Yield what one new fact calls for."""
    match event:
        case PlanAccepted() | PlanRejected():
            yield _hand_over(state)
            if state.parent is not None:
                yield _confirmed(state.parent)
            yield from _recorded(state, state.schedule, state.trigger)
        case ExtensionJudged():
            yield _answer(state, event)
        case PlanHandedOver():
            if state.improve_s:
                yield Improve(state.execution_id, state.improve_s)


def resume(state: PlanRecord) -> Iterator[Effect]:
    """Yield everything still owed."""
    if state.is_decided and not state.is_handed_over:
        yield _hand_over(state)


def answer(state: PlanRecord, message: PlannerMessage) -> Iterable[Effect]:
    """Tell again that an execution is on record, or how an extension was judged; clients follow its log."""
    if isinstance(message, SubmitWorkflow) and message.parent is not None:
        yield _confirmed(message.parent)
    if isinstance(message, SubmitWorkflow) and state.is_decided:
        yield from _recorded(state, message.schedule, message.trigger)
    if isinstance(message, ExtendPlan) and (judged := state.judged.get(_key(message))):
        yield _answer(state, judged)


def is_over(state: PlanRecord) -> bool:
    """Tell whether the scheduler has taken over."""
    return state.is_handed_over


def _answer(state: PlanRecord, judged: ExtensionJudged) -> Effect:
    refusal = Refusal(judged.code, judged.message) if judged.code else None
    message = AnswerExtension(
        state.execution_id, judged.task_id, judged.attempt, judged.dependencies, refusal
    )
    return Send(Recipient.SCHEDULER, message, notice=True)


def _hand_over(state: PlanRecord) -> Effect:
    message = StartExecution(
        state.execution_id,
        state.workflow,
        state.definition,
        state.refusal,
        state.name,
        state.parent,
        state.schedule,
        state.origin,
        state.order,
        state.baseline,
    )
    return Send(Recipient.SCHEDULER, message)


def _confirmed(parent: Parent) -> Effect:
    message = ConfirmChild(parent.execution_id, parent.task_id, parent.attempt)
    return Send(Recipient.SCHEDULER, message, notice=True)


def _recorded(state: PlanRecord, schedule: str, trigger: str) -> Iterator[Effect]:
    """Tell the schedule or the trigger that asked for the execution what became of it."""
    if schedule:
        yield Send(Recipient.STARTER, SubmissionRecorded(schedule, state.execution_id), notice=True)
    if trigger:
        code, reason = (state.refusal.code, state.refusal.message) if state.refusal else ("", "")
        message = FiringRecorded(trigger, state.execution_id, code, reason)
        yield Send(Recipient.TRIGGER, message, notice=True)


PLANNER: Behaviour[PlanRecord, PlannerMessage, PlanEvent] = Behaviour(
    log_kind=PLAN,
    initial=PlanRecord,
    decide=decide,
    answer=answer,
    evolve=evolve,
    react=react,
    resume=resume,
    is_over=is_over,
)
