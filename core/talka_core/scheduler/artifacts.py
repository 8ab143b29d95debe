"""What tasks wrote and read, held against the graph: two that touch one artifact must be in an order.

It does not matter how they are ordered, by a declared artifact or by any path
of dependencies. What is found is told with the dependency that is missing, and
fails nothing unless the workflow says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.state import Artifact, ExecutionRecord
from talka_protocols.events import (
    ArtifactRead,
    ArtifactsWritten,
    DependencyViolationDetected,
    ExecutionEvent,
    TaskFailure,
    ViolationKind,
)
from talka_protocols.messages import AttemptFinished, RecordProgress
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Dependency


def written(state: ExecutionRecord, message: AttemptFinished) -> Iterator[ExecutionEvent]:
    """Record what a successful attempt wrote, and whom that races with."""
    if not message.artifacts:
        return
    task_id = message.task_id
    for name, claim in message.artifacts.items():
        other = _writer(state, name) or task_id
        if claim is not None or not _is_doubtful(state, name, other, task_id):
            yield from _compared(state, name, ViolationKind.RACING_WRITE, task_id, other, (other, task_id))
        for reader in _readers(state, name):
            kind = ViolationKind.UNORDERED_READ
            yield from _compared(state, name, kind, reader, task_id, (task_id, reader))
    attempt = Artifact(task_id, message.attempt)
    if any(_without_claim(state.artifacts.get(name)) != attempt for name in message.artifacts):
        yield ArtifactsWritten(task_id, message.attempt, message.artifacts)


def read(state: ExecutionRecord, message: RecordProgress) -> Iterator[ExecutionEvent]:
    """Record that an artifact is read, and whether its writer surely comes first."""
    task_id, name = message.task_id, message.name
    found = state.artifacts.get(name)
    if found is None or not is_readable(state, found):
        return
    if state.readers.get(name, {}).get(task_id) != found.task_id:
        yield ArtifactRead(task_id, message.attempt, message.sequence, name, found.task_id)
    kind = ViolationKind.UNORDERED_READ
    yield from _compared(state, name, kind, task_id, found.task_id, (found.task_id, task_id))


def is_readable(state: ExecutionRecord, found: Artifact) -> bool:
    """Tell whether the artifact is kept, and its writer has succeeded and was not undone since."""
    writer = state.tasks.get(found.task_id)
    return found.claim is not None and writer is not None and writer.status is TaskStatus.SUCCEEDED


def failure(state: ExecutionRecord, task_id: str) -> TaskFailure | None:
    """Return why a task fails that did its work, where the workflow wants every violation to fail one."""
    if state.workflow is None or not state.workflow.config.fails_on_violation:
        return None
    found = [event for event in state.violations if task_id in (event.task_id, event.other_task)]
    return TaskFailure("dependency_violation", sentence(found[0])) if found else None


def sentence(event: DependencyViolationDetected) -> str:
    """Say what happened, and what to write into the definition."""
    first, second = event.proposed.from_task, event.proposed.to_task
    verb = "reads" if event.kind is ViolationKind.UNORDERED_READ else "writes"
    return (
        f"The task {event.task_id!r} {verb} the artifact {event.artifact!r} that {event.other_task!r} "
        f"writes, and nothing orders them. Write depends_on: [{first}] into the task {second!r}."
    )


def _compared(
    state: ExecutionRecord, name: str, kind: ViolationKind, task_id: str, other: str, edge: tuple[str, str]
) -> Iterator[ExecutionEvent]:
    if task_id == other or _is_before(state, *edge) or _is_before(state, edge[1], edge[0]):
        return
    event = DependencyViolationDetected(task_id, name, other, kind, Dependency(*edge, reason="observed"))
    if event not in state.violations:
        yield event


def _writer(state: ExecutionRecord, name: str) -> str | None:
    """Return who wrote the artifact last, unless that task has left the graph."""
    found = state.artifacts.get(name)
    return found.task_id if found is not None and found.task_id in state.tasks else None


def _is_doubtful(state: ExecutionRecord, name: str, other: str, task_id: str) -> bool:
    """Tell whether a change seen with two tasks at once is rather that of the one that declares it."""
    is_at_once = state.tasks[other].finished_at > state.tasks[task_id].started_at
    tasks = state.index.tasks
    return is_at_once and (name in tasks[task_id].writes) is not (name in tasks[other].writes)


def _without_claim(found: Artifact | None) -> Artifact | None:
    return found and Artifact(found.task_id, found.attempt)


def _readers(state: ExecutionRecord, name: str) -> Iterator[str]:
    """Yield the tasks that have read the artifact, and those that say that they do."""
    seen = state.readers.get(name, {})
    yield from (task_id for task_id in seen if task_id in state.tasks)
    for task_id, task in state.index.tasks.items():
        if name in task.reads and task_id not in seen:
            yield task_id


def _is_before(state: ExecutionRecord, first: str, second: str) -> bool:
    """Tell whether a path of dependencies leads from one task to the other."""
    reached, ahead = {first}, [first]
    for task_id in ahead:
        if task_id == second:
            return True
        fresh = [s for s in state.index.successors[task_id] if s not in reached]
        reached.update(fresh)
        ahead += fresh
    return False
