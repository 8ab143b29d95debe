"""``execution.<id>``: what attempts save while they run, so that the next one goes on from there."""

from __future__ import annotations

from msgspec import Raw, Struct

from talka_protocols.events.fact import Fact
from talka_protocols.workflow import ClaimCheck


class Saved(Struct, frozen=True, omit_defaults=True, gc=False):
    """A value that a task saved: as JSON, or in the object store if it is large."""

    data: Raw = Raw(b"null")
    claim: ClaimCheck | None = None


class Progress(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a task had saved by some event: its newest checkpoint, and its finished steps by name."""

    task_id: str
    attempt: int
    sequence: int
    checkpoint: Saved
    steps: dict[str, Saved] = {}


class TaskCheckpointed(Fact, frozen=True, gc=False):
    """The attempt has saved its progress; ``sequence`` counts what it saved. Only the newest one counts."""

    task_id: str
    attempt: int
    sequence: int
    saved: Saved


class TaskStepFinished(Fact, frozen=True, gc=False):
    """A named step inside the task has its result and is not run again by a later attempt."""

    task_id: str
    attempt: int
    sequence: int
    name: str
    saved: Saved
