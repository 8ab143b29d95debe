"""The payloads of tasks that no worker runs: their fields, and what may stand in them.

A reference may stand in any field; what it brings is held to the same rules
when the task begins to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import FieldInfo, fields

from talka_core.limits import SECONDS_MAX, Bound, check_id
from talka_core.references import mentions
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError

APPROVE = "approve"
REJECT = "reject"
CHOICES_MAX = 20
TEXT_MAX = 10_000
"""Characters of a question."""

INSTANT_MAX = 253_402_300_799.0
"""The last second of the year 9999."""


class WaitPayload(Struct, frozen=True):
    """Wait for ``seconds``, or ``until`` an instant: Unix seconds, or ISO 8601 with its offset."""

    seconds: float | UnsetType = UNSET
    until: float | str | UnsetType = UNSET


class SignalPayload(Struct, frozen=True):
    """Wait for a signal of this ``name``; at the time-out a ``default``, if there is one, takes its place."""

    name: str
    timeout_seconds: float | UnsetType = UNSET
    default: Any = UNSET


class ApprovalPayload(Struct, frozen=True):
    """Ask a person a ``question``; ``assignees`` says in free text who may answer."""

    question: str
    choices: tuple[str, ...] = (APPROVE, REJECT)
    timeout_seconds: float | UnsetType = UNSET
    default: str | UnsetType = UNSET
    assignees: tuple[str, ...] = ()


class SubWorkflowPayload(Struct, frozen=True):
    """Run the task's ``workflow`` with these ``inputs``.

    The result is that of the task named ``output``, or all results by task id.
    """

    inputs: dict[str, Any] = {}
    output: str = ""


class _Kind(NamedTuple):
    payload: type[Struct]
    rule: Callable[[dict[str, Any], Collection[str]], None]


_SECONDS = Bound(0, SECONDS_MAX)
_TIMEOUT = Bound(0, SECONDS_MAX, is_open=True)
_INSTANT = Bound(0, INSTANT_MAX)
_EXPECTED = {
    "seconds": str(_SECONDS),
    "timeout_seconds": str(_TIMEOUT),
    "name": "a text",
    "question": "a text",
    "choices": "a list of texts",
    "assignees": "a list of texts",
    "default": "a text",
    "inputs": "keys with values",
    "output": "the id of a task of the sub-workflow",
    "until": "Unix seconds, or a text such as 2030-01-01T09:00:00+01:00",
}


def read(agent_type: str, payload: dict[str, Any]) -> Any:
    """Return the payload of a task that no worker runs as its struct, references resolved.

    Raises:
        WorkflowInvalidError: code ``bad_payload``; the path leads into the payload.
    """
    _check(agent_type, payload, payload)
    return msgspec.convert(payload, KINDS[agent_type].payload)


def check_literals(agent_type: str, payload: dict[str, Any]) -> None:
    """Check what can be checked before references are resolved.

    Raises:
        WorkflowInvalidError: code ``bad_payload``; the path leads into the payload.
    """
    _check(agent_type, payload, {name: value for name, value in payload.items() if not mentions(value)})


def instant_of(text: str) -> float:
    """Return the Unix seconds of an instant in ISO 8601.

    Raises:
        WorkflowInvalidError: it is none, or has no offset from UTC.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise refused(
            f"{text!r} is no instant to wait until.",
            "Write it as 2030-01-01T09:00:00+01:00, with its offset from UTC.",
            "until",
        )
    return instant.timestamp()


def refused(message: str, hint: str, *path: str | int) -> WorkflowInvalidError:
    """Return the error for a payload that cannot be."""
    return WorkflowInvalidError(message, hint=hint, code="bad_payload", path=path)


def _check(agent_type: str, payload: dict[str, Any], literals: dict[str, Any]) -> None:
    known = fields(KINDS[agent_type].payload)
    names = [field.name for field in known]
    for name in payload:
        if name not in names:
            raise refused(
                f"The payload of a {agent_type} task has no field {name!r}.",
                did_you_mean(name, names, label="Fields"),
                name,
            )
    for field in known:
        if field.name in literals:
            _check_type(field, literals[field.name])
        elif field.required and field.name not in payload:
            raise refused(f"A {agent_type} task needs {field.name!r}.", f"Add '{field.name}: ...'.")
    KINDS[agent_type].rule(literals, payload.keys())


def _check_type(field: FieldInfo, value: Any) -> None:
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError:
        expected = _EXPECTED[field.name]
        raise refused(f"{field.name} is {value!r}, but must be {expected}.", "", field.name) from None


def _check_bound(payload: dict[str, Any], name: str, bound: Bound) -> None:
    value = payload.get(name)
    if isinstance(value, int | float) and not bound.admits(value):
        raise refused(f"{name} is {value!r}, but must be {bound}.", "", name)


def _wait(payload: dict[str, Any], given: Collection[str]) -> None:
    if len(given) != 1:
        raise refused(
            f"A wait task needs 'seconds' or 'until', not {' and '.join(sorted(given)) or 'nothing'}.",
            "Write {seconds: 30}, or {until: '2030-01-01T09:00:00+01:00'}.",
        )
    _check_bound(payload, "seconds", _SECONDS)
    _check_bound(payload, "until", _INSTANT)
    until = payload.get("until")
    if isinstance(until, str):
        instant_of(until)


def _signal(payload: dict[str, Any], _given: Collection[str]) -> None:
    _check_bound(payload, "timeout_seconds", _TIMEOUT)
    if "name" in payload:
        check_id(payload["name"], ("name",), "name of a signal")


def _approval(payload: dict[str, Any], given: Collection[str]) -> None:
    _check_bound(payload, "timeout_seconds", _TIMEOUT)
    if not 0 < len(payload.get("question", "?").strip()) <= TEXT_MAX:
        raise refused(f"The question has 1 to {TEXT_MAX:,} characters.", "", "question")
    if "choices" in given and "choices" not in payload:
        return
    choices = payload.get("choices", [APPROVE, REJECT])
    is_set = 0 < len(choices) <= CHOICES_MAX and len(set(choices)) == len(choices)
    if not is_set or not all(choice.strip() for choice in choices):
        raise refused(f"The choices are 1 to {CHOICES_MAX} different texts.", "", "choices")
    default = payload.get("default")
    if default is not None and default not in choices:
        hint = did_you_mean(default, choices, label="Choices")
        raise refused(f"The default {default!r} is none of the choices.", hint, "default")


def _workflow(_payload: dict[str, Any], _given: Collection[str]) -> None:
    """Ask for nothing more: what it names is checked with the sub-workflow."""


KINDS: dict[str, _Kind] = {
    "wait": _Kind(WaitPayload, _wait),
    "signal": _Kind(SignalPayload, _signal),
    "approval": _Kind(ApprovalPayload, _approval),
    "workflow": _Kind(SubWorkflowPayload, _workflow),
}
"""By agent type."""
