"""What a task's payload refers to: its values, for the worker or for the scheduler itself."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from talka_core.conditions import ITERATION, LOOP
from talka_core.references import Reference, UnresolvedReferenceError, extract, substitute
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.messages import Excerpt
from talka_protocols.states import TaskStatus

_NOT_BEGUN = (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED, TaskStatus.RETRYING)


def inputs_of(state: ExecutionRecord, task_id: str) -> tuple[dict[str, Raw], dict[str, Excerpt]]:
    """Return the values that the task's references stand for, and the stored objects that hold the others.

    A value that is not there is left out: the worker records the attempt as
    failed and says what is missing.
    """
    inputs: dict[str, Raw] = {}
    excerpts: dict[str, Excerpt] = {}
    for reference in state.index.references.get(task_id, ()):
        _provide(state, task_id, reference, inputs, excerpts)
        if state.tasks[task_id].undoes and reference.text not in excerpts:
            # What is undone may have been stopped before it returned anything.
            inputs.setdefault(reference.text, Raw(b"null"))
    return inputs, excerpts


def payload_of(state: ExecutionRecord, task_id: str) -> dict[str, Any]:
    """Return the task's payload with every reference replaced; see ``resolved``."""
    payload: dict[str, Any] = resolved(state, task_id, state.index.tasks[task_id].payload)
    return payload


def resolved(state: ExecutionRecord, task_id: str, part: Any) -> Any:
    """Return a part of the task's definition with every reference in it replaced.

    Raises:
        UnresolvedReferenceError: a result does not hold what is referred to, or
            is too large to be looked into.
    """
    inputs, excerpts = inputs_of(state, task_id)

    def value_of(text: str) -> Any:
        if text in inputs:
            return msgspec.json.decode(inputs[text])
        if text in excerpts:
            size = excerpts[text].claim.bytes
            raise UnresolvedReferenceError(
                f"What ${{{text}}} refers to is too large for the scheduler to look into: the result"
                f" it is part of has {size:,} bytes.",
                hint="Return the part that is needed as a small field of its own.",
            )
        raise UnresolvedReferenceError(
            f"The reference ${{{text}}} of task {task_id!r} names nothing that was returned.",
            hint="Compare it with the result of the task it refers to.",
        )

    return substitute(part, value_of)


def _provide(
    state: ExecutionRecord,
    asking: str,
    reference: Reference,
    inputs: dict[str, Raw],
    excerpts: dict[str, Excerpt],
) -> None:
    if reference.task_id is None:
        return
    source = state.tasks[reference.task_id]
    is_own = reference.task_id == asking
    if is_own and reference.text == f"{LOOP}.{ITERATION}":
        inputs[reference.text] = Raw(str(source.iteration).encode())
    elif is_own and not source.iteration:
        inputs[reference.text] = Raw(b"null")
    elif not is_own and not _is_seen(source, state.tasks[asking]):
        # As of what has not succeeded: null as a whole, and without parts.
        inputs |= {} if reference.path else {reference.text: Raw(b"null")}
    elif source.claim is not None:
        if reference.text in source.extracts:
            inputs[reference.text] = source.extracts[reference.text]
        else:
            excerpts[reference.text] = Excerpt(source.claim, reference.path)
    elif not reference.path:
        inputs[reference.text] = source.result
    else:
        try:
            value = extract(msgspec.json.decode(source.result), reference.path)
        except UnresolvedReferenceError:
            return
        inputs[reference.text] = Raw(msgspec.json.encode(value))


def _is_seen(source: TaskRecord, asking: TaskRecord) -> bool:
    """Tell whether a task had its result when the other began, which may join before all others have ended.

    So an attempt takes in the same, however often it is sent.
    """
    if asking.status in _NOT_BEGUN or not asking.began_version:
        return source.is_over
    is_later = source.status is TaskStatus.SUCCEEDED and source.ended_version > asking.began_version
    return source.is_over and not is_later
