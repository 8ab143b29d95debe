"""How a command ends: its exit code, and an error as JSON or as a sentence."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any

from talka_protocols.errors import (
    CallerError,
    ResourcesUnavailable,
    ServerUnavailableError,
    TalkaError,
    WorkflowInvalidError,
)


class ExitCode(IntEnum):
    """What scripts can rely on."""

    SUCCEEDED = 0
    NOT_SUCCEEDED = 1
    REFUSED = 2
    NO_SERVER = 3


class UsageError(CallerError):
    """The command was called in a way that makes no sense."""

    code = "usage"


class RejectedError(CallerError):
    """The planner refused the workflow; the refusal is on record."""

    code = "rejected"


def exit_code_of(error: TalkaError) -> ExitCode:
    """Return the exit code for an error."""
    match error:
        case ServerUnavailableError():
            return ExitCode.NO_SERVER
        case ResourcesUnavailable():
            return ExitCode.NOT_SUCCEEDED
        case CallerError():
            return ExitCode.REFUSED
        case _:
            return ExitCode.NOT_SUCCEEDED


def error_document(code: str, message: str, place: WorkflowInvalidError | None = None) -> dict[str, Any]:
    """Return an error as the object that ``--json`` prints."""
    return {
        "error": {
            "code": code,
            "message": message,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
        }
    }


def describe(error: TalkaError) -> dict[str, Any]:
    """Return one of our errors as the object that ``--json`` prints; its place has fields of its own."""
    sentence = f"{error.message} {error.hint}".strip()
    return error_document(error.code, sentence, error if isinstance(error, WorkflowInvalidError) else None)


def complain(code: str, message: str) -> None:
    """Tell a person what went wrong, on standard error."""
    sys.stderr.write(f"talka: {message}\n" if code != "help" else f"{message}\n")
