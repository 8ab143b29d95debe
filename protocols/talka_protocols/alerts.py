"""Alerts as data: what somebody should look at, and what has become of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


@quick
class AlertKind(StrEnum):
    """What is wrong; the values are stable."""

    STUCK = "stuck"
    DEADLINE_THREATENED = "deadline_threatened"
    LEAK = "leak"
    DEPENDENCY_VIOLATION = "dependency_violation"
    LAG = "lag"
    ERROR_RATE = "error_rate"


LASTING = frozenset({AlertKind.LEAK, AlertKind.DEPENDENCY_VIOLATION})
"""Kinds that are facts and not conditions: they stay until somebody acknowledges them."""


class Condition(Struct, frozen=True, omit_defaults=True):
    """Something that is wrong now: ``subject`` is what it is wrong with, ``hint`` what to do about it."""

    kind: AlertKind
    subject: str
    message: str
    hint: str = ""
    execution_id: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """One alert: ``number`` is the version at which it was raised, and its name for ever.

    Instants are milliseconds since the epoch, 0 for never.
    """

    number: int
    kind: AlertKind
    subject: str
    message: str
    hint: str
    execution_id: str
    raised_at: int
    cleared_at: int = 0
    acknowledged_at: int = 0
    acknowledged_by: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether it still asks to be looked at; a lasting one does until it is acknowledged."""
        return not self.cleared_at and not (self.kind in LASTING and self.acknowledged_at)


class AlertDocument(Struct, frozen=True):
    """An alert as people and receivers get it; times are Unix seconds.

    ``status`` is ``open``, ``acknowledged`` or ``cleared``.
    """

    number: int
    kind: AlertKind
    status: str
    subject: str
    message: str
    hint: str
    execution_id: str | None
    raised_at: float
    cleared_at: float | None
    acknowledged_at: float | None
    acknowledged_by: str | None
