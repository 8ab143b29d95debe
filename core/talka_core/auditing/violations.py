"""What an audit may find: the kinds of violations, and what to do about each."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What is wrong with a history; the values are stable."""

    MISSING_EVENTS = "missing_events"
    UNREADABLE = "unreadable"
    OVER_CAPACITY = "over_capacity"
    OVER_QUOTA = "over_quota"
    GANG_SPLIT = "gang_split"
    UNKNOWN_WORKER = "unknown_worker"
    DOUBLE_GRANT = "double_grant"
    NO_HOLDER = "no_holder"
    FENCE_REUSED = "fence_reused"
    HAND_ON_BEYOND_GRANT = "hand_on_beyond_grant"
    HELD_TWICE = "held_twice"
    USED_UNGRANTED = "used_ungranted"
    HELD_AFTER_END = "held_after_end"
    FREED_IN_USE = "freed_in_use"
    FREED_TWICE = "freed_twice"
    REVOKED_IN_USE = "revoked_in_use"
    RETURNED_EARLY = "returned_early"
    SETTLED_UNRECORDED = "settled_unrecorded"
    RESERVATION_REUSED = "reservation_reused"
    RESERVATION_OUTLIVED = "reservation_outlived"
    NOT_RETURNED = "not_returned"
    STRANDED = "stranded"
    CHANGED = "changed"
    UNSIGNED = "unsigned"
    REMOVED = "removed"
    OUT_OF_ORDER = "out_of_order"
    UNVERIFIABLE = "unverifiable"


_REPORT = "Report it with the log exported by `talka export`; it should never happen."
_RESTART = "Restart the resource service, which looks at everything that it holds; then report it."
_STUCK = "See whether the scheduler runs and the execution is broken: talka list, talka status."
_TAMPERED = "Somebody else wrote to the log: keep a copy of it, restore it from a backup, and see who can."

HINTS: dict[Kind, str] = dict.fromkeys(Kind, _REPORT) | {
    Kind.MISSING_EVENTS: "Restore the stream from a backup: what is folded from this log is not true.",
    Kind.UNREADABLE: "It may have been written by a newer version: upgrade and audit again.",
    Kind.NOT_RETURNED: _STUCK,
    Kind.STRANDED: _RESTART,
    Kind.CHANGED: _TAMPERED,
    Kind.UNSIGNED: "A service without keys wrote it (TALKA_KEYS), or somebody else did.",
    Kind.REMOVED: _TAMPERED,
    Kind.OUT_OF_ORDER: _TAMPERED,
    Kind.UNVERIFIABLE: "Add the key's public half to the file that TALKA_KEYS names, and audit again.",
    Kind.RESERVATION_OUTLIVED: _RESTART,
    Kind.SETTLED_UNRECORDED: _RESTART,
}


class Where(Struct, frozen=True):
    """An event: its log, its version there, its commit's position in the stream and time (milliseconds)."""

    log: str
    version: int
    position: int
    at: int


class Violation(Struct, frozen=True):
    """One finding; ``message`` says in one sentence what is wrong, and ``hint`` what to do."""

    kind: Kind
    where: Where
    message: str
    hint: str


Finding = tuple[Kind, str]
"""A kind and its sentence, of the event that is being looked at."""


def violation(finding: Finding, where: Where) -> Violation:
    """Return a finding with its place and what to do about it."""
    kind, sentence = finding
    return Violation(kind, where, sentence, HINTS[kind])
