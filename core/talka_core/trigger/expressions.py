"""What the expressions of a trigger come to, and whether a trigger makes sense."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from talka_core import conditions
from talka_core.cloudevents import TYPE_LENGTH_MAX, attributes, check_type
from talka_core.conditions import ConditionError
from talka_core.limits import check_id
from talka_core.spelling import did_you_mean
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.errors import EventInvalidError, TriggerInvalidError, WorkflowInvalidError
from talka_protocols.subjects import is_token
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import INLINE_BYTES_MAX, Workflow

VARIABLES = ("data", "event")
NAME_MAX = 90
"""Leaves room for the digest behind it in the ids of executions."""


def check_name(name: str) -> None:
    """Refuse a name that cannot stand in a subject, or leaves no room for a digest behind it.

    Raises:
        TriggerInvalidError: it cannot be used.
    """
    if not is_token(name) or len(name) > NAME_MAX:
        raise TriggerInvalidError(
            f"The trigger's name {name[:100]!r} cannot be used.",
            hint=f"Use letters, digits, '-' and '_', at most {NAME_MAX} of them.",
        )


def check_trigger(trigger: Trigger, workflow: Workflow | None) -> None:
    """Refuse a trigger that makes no sense.

    Raises:
        TriggerInvalidError: a part of it is missing, an expression does not compile, or an input is
            unknown or missing.
    """
    _check_pattern(trigger.on)
    if trigger.when:
        try:
            conditions.check(trigger.when, VARIABLES)
        except WorkflowInvalidError as error:
            raise _bad_expression("when", trigger.when, error) from None
    if (workflow is None) == (not trigger.signal):
        raise TriggerInvalidError("A trigger starts a workflow or signals an execution: one of the two.")
    if workflow is not None:
        _check_start(trigger, workflow)
    else:
        _check_signal(trigger)


def matches(on: str, kind: str) -> bool:
    """Tell whether a type of event is one that a trigger is on."""
    wanted, given = on.split("."), kind.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def variables_of(event: CloudEvent) -> dict[str, Any]:
    """Return what expressions see of an event."""
    data = msgspec.json.decode(event.data)
    return {"event": attributes(event) | {"data": data}, "data": data}


def is_met(trigger: Trigger, values: dict[str, Any]) -> bool:
    """Tell whether an event is what the trigger waits for.

    Raises:
        ConditionError: the filter has no answer.
    """
    if not trigger.when:
        return True
    try:
        return conditions.holds(trigger.when, values)
    except ConditionError as error:
        raise ConditionError(f"The filter {_shown(trigger.when)} has no answer: {error}") from None


def execution_of(trigger: Trigger, values: dict[str, Any]) -> str:
    """Return the id of the execution that is to be signalled.

    Raises:
        ConditionError: the expression has no answer, or none that can be an id.
    """
    if is_token(trigger.execution):
        return trigger.execution
    found = _value("execution", trigger.execution, values)
    if not isinstance(found, str) or not is_token(found):
        raise ConditionError(
            f"The expression {_shown(trigger.execution)} comes to {_shown(found)}, which is no execution id."
        )
    return found


def told(trigger: Trigger, values: dict[str, Any]) -> Raw:
    """Return the inputs of the workflow by name, or what the signal says.

    Raises:
        ConditionError: an expression has no answer, or it is no JSON or too large.
    """
    if trigger.signal:
        found = _value("data", trigger.data, values) if trigger.data else values["data"]
    else:
        found = {name: _value(name, text, values) for name, text in trigger.inputs.items()}
    try:
        encoded = msgspec.json.encode(found)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConditionError(f"What is passed on is no JSON: {error}.") from None
    if len(encoded) > INLINE_BYTES_MAX:
        raise ConditionError(
            f"What is passed on takes {len(encoded):,} bytes, above the limit of {INLINE_BYTES_MAX:,}."
        )
    return Raw(encoded)


def _value(what: str, expression: str, values: dict[str, Any]) -> Any:
    try:
        return conditions.value_of(expression, values)
    except ConditionError as error:
        raise ConditionError(
            f"The expression {_shown(expression)} for {what} has no answer: {error}"
        ) from None


def _check_pattern(on: str) -> None:
    *parts, last = on.split(".")
    fixed = [part for part in parts if part != "*"] + [part for part in (last,) if part not in ("*", ">")]
    try:
        check_type(on if len(on) > TYPE_LENGTH_MAX else ".".join(fixed or ["any"]))
    except EventInvalidError:
        raise TriggerInvalidError(
            f"The type {on[:80]!r} cannot be waited for.",
            hint="Write a type such as order.created; '*' stands for one part, '>' at the end for the rest.",
        ) from None


def _check_start(trigger: Trigger, workflow: Workflow) -> None:
    if trigger.execution or trigger.data:
        raise TriggerInvalidError("What a trigger starts has inputs, and no execution and data of a signal.")
    for name in trigger.inputs:
        if name not in workflow.inputs:
            hint = did_you_mean(name, workflow.inputs, label="Inputs") or "It takes no inputs."
            said = f"The workflow {workflow.name!r} declares no input {name!r}."
            raise TriggerInvalidError(said, hint=hint, code="unknown_input")
    for name, default in workflow.inputs.items():
        if default is None and name not in trigger.inputs:
            raise TriggerInvalidError(
                f"The input {name!r} of the workflow {workflow.name!r} has no default and was not given.",
                hint=f"Give it as an expression, for example --input {name}=data.{name}.",
                code="missing_input",
            )
    for name, expression in trigger.inputs.items():
        _check_expression(f"input {name}", expression)


def _check_signal(trigger: Trigger) -> None:
    if trigger.inputs:
        raise TriggerInvalidError("A signal has data, and no inputs.", hint="Give --data in their place.")
    try:
        check_id(trigger.signal, ("signal",), "name of a signal")
    except WorkflowInvalidError as error:
        raise TriggerInvalidError(error.message, hint=error.hint) from None
    if not is_token(trigger.execution):
        _check_expression("execution", trigger.execution)
    if trigger.data:
        _check_expression("data", trigger.data)


def _check_expression(what: str, expression: str) -> None:
    try:
        conditions.check_value(expression, VARIABLES)
    except WorkflowInvalidError as error:
        raise _bad_expression(what, expression, error) from None


def _bad_expression(what: str, expression: str, error: WorkflowInvalidError) -> TriggerInvalidError:
    return TriggerInvalidError(
        f"The expression {_shown(expression)} for {what} does not compile: {error.message}",
        hint=error.hint,
        code="bad_expression",
    )


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 200 else f"{text[:197]}...")
