"""What people do to executions under way: pause, resume and force; and how they let go of them in the end."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec import Raw

from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.waiting import APPROVAL, SIGNAL
from talka_core.status import status_of
from talka_protocols.messages import (
    AnswerApproval,
    CancelExecution,
    CancelSingleTask,
    PauseExecution,
    ReleaseTask,
    ReprioritizeExecution,
    ResumeExecution,
    RollBackExecution,
    SchedulerMessage,
    SignalExecution,
)
from talka_protocols.policies import Then
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Strategy, Workflow

PAUSED_SHARE = 0.08
"""The share of worlds in which tasks are paused and then their executions go back."""


def interference(random: Random, workflow: Workflow, at_s: float) -> Iterator[tuple[float, SchedulerMessage]]:
    """Yield, with their moments, requests to pause and resume the execution or a task, in any order."""
    for number in range(random.randrange(1, 6)):
        task_id = random.choice(("", "", random.choice(workflow.tasks).id))
        kind = random.choice((PauseExecution, ResumeExecution))
        at_s += random.uniform(0.0, 10.0)
        yield at_s, kind(workflow.id, f"drawn-{number}", task_id)
    if random.random() < 0.2:
        yield at_s + 1.0, CancelExecution(workflow.id, "forced", is_forced=True)


def lone_cancellations(
    seed: int, workflow: Workflow, at_s: float
) -> Iterator[tuple[float, SchedulerMessage]]:
    """Yield, with their moments, requests to cancel single tasks: once, or again and by force.

    They have a stream of chance of their own, so that nothing else of the seed changes.
    """
    random = Random(f"{seed} {workflow.id} alone")  # noqa: S311
    for number in range(random.choice((0, 0, 0, 0, 1, 2))):
        task_id = random.choice(workflow.tasks).id
        at_s += random.uniform(0.0, 10.0)
        yield at_s, CancelSingleTask(workflow.id, f"alone-{number}", task_id, "drawn")
        if random.random() < 0.3:
            forced = CancelSingleTask(workflow.id, f"forced-{number}", task_id, is_forced=True)
            yield at_s + random.uniform(0.0, 2.0), forced


def pauses_on_the_way_back(
    seed: int, workflow: Workflow, at_s: float
) -> Iterator[tuple[float, SchedulerMessage]]:
    """Yield, in few worlds, requests to pause tasks and then to go back to an event after that.

    They have a stream of chance of their own, so that nothing of the other worlds changes.
    """
    if Random(f"{seed} way back").random() >= PAUSED_SHARE:  # noqa: S311
        return
    random = Random(f"{seed} {workflow.id} way back")  # noqa: S311
    for task in workflow.tasks[-3:]:
        yield at_s + random.uniform(0.1, 0.5), PauseExecution(workflow.id, f"held-{task.id}", task.id)
    for number in range(4):
        to = random.randint(3, 5) * len(workflow.tasks) + 10
        back = RollBackExecution(workflow.id, to, "", Then.CONTINUE, True, f"held-back-{number}")
        yield at_s + random.uniform(3.0, 20.0), back


def other_orders(seed: int, workflow: Workflow, at_s: float) -> Iterator[tuple[float, SchedulerMessage]]:
    """Yield, with their moments, requests for another strategy or priority, by chance of their own."""
    random = Random(f"{seed} {workflow.id} order")  # noqa: S311
    for number in range(random.choice((0, 0, 1, 2))):
        strategy = random.choice(("", *Strategy))
        order = tuple(random.sample(range(len(workflow.tasks)), len(workflow.tasks)))
        yield (
            at_s + random.uniform(0.0, 20.0),
            ReprioritizeExecution(
                workflow.id,
                f"other-{number}",
                strategy,
                random.choice((None, 0, 50, 100)),
                order if strategy == Strategy.DEADLINE else (),
            ),
        )


def relief(state: ExecutionRecord, *, is_late: bool) -> Iterator[SchedulerMessage]:
    """Yield what resumes all that is paused and releases all that is parked.

    When it ``is_late`` nobody else comes any more who would answer.
    """
    key, request_id = state.execution_id, f"relief-{state.version}"
    if state.status is ExecutionState.PAUSED:
        yield ResumeExecution(key, request_id)
    status = status_of(state)
    for task_id in status.parked:
        yield ReleaseTask(key, f"{request_id}-{task_id}-parked", task_id)
    for task_id in status.paused:
        yield ResumeExecution(key, f"{request_id}-{task_id}", task_id)
    if is_late or state.lost_spans or state.origin is not None:
        yield from _answers(state)


def _answers(state: ExecutionRecord) -> Iterator[SchedulerMessage]:
    """Yield what tasks wait for once more, as they do after they were undone, or in a fork."""
    for task_id, task in state.tasks.items():
        if task.status is TaskStatus.WAITING and task.waiting == SIGNAL:
            signal_id = f"relief-{state.version}-{task_id}"
            yield SignalExecution(state.execution_id, task.awaited, signal_id, Raw(f'"{task_id}"'.encode()))
        if task.status is TaskStatus.WAITING and task.waiting == APPROVAL:
            yield AnswerApproval(state.execution_id, task_id, "approve")
