"""What a task's payload refers to: its values, for the worker or for the scheduler itself."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from talka_core.references import Reference, UnresolvedReferenceError, extract, substitute
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.messages import Excerpt


def inputs_of(state: ExecutionRecord, task_id: str) -> tuple[dict[str, Raw], dict[str, Excerpt]]:
    """Return the values that the task's references stand for, and the stored objects that hold the others.

    A value that is not there is left out: the worker records the attempt as
    failed and says what is missing.
    """
    inputs: dict[str, Raw] = {}
    excerpts: dict[str, Excerpt] = {}
    for reference in state.index.references.get(task_id, ()):
        _provide(state, reference, inputs, excerpts)
        if state.tasks[task_id].undoes and reference.text not in excerpts:
            # What is undone may have been stopped before it returned anything.
            inputs.setdefault(reference.text, Raw(b"null"))
    return inputs, excerpts


def payload_of(state: ExecutionRecord, task_id: str) -> dict[str, Any]:
    """Return the task's payload with every reference replaced.

    Raises:
        UnresolvedReferenceError: a result does not hold what is referred to, or
            is too large to be looked into.
    """
    inputs, excerpts = inputs_of(state, task_id)

    def value_of(text: str) -> Any:
        if text in inputs:
            return msgspec.json.decode(inputs[text])
        if text in excerpts:
            raise UnresolvedReferenceError(
                f"What ${{{text}}} refers to is too large for the scheduler to look into.",
                hint="Return the part that is needed as a small field of its own.",
            )
        raise UnresolvedReferenceError(
            f"The reference ${{{text}}} of task {task_id!r} names nothing that was returned.",
            hint="Compare it with the result of the task it refers to.",
        )

    resolved: dict[str, Any] = substitute(state.index.tasks[task_id].payload, value_of)
    return resolved


def _provide(
    state: ExecutionRecord, reference: Reference, inputs: dict[str, Raw], excerpts: dict[str, Excerpt]
) -> None:
    if reference.task_id is None:
        return
    source = state.tasks[reference.task_id]
    if source.claim is not None:
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
