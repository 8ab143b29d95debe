"""What became of a log that was looked at."""

from __future__ import annotations

from msgspec import Struct


class Pruned(Struct, frozen=True):
    """How many events left a log, and the execution that holds up the rest, if one does."""

    log: str
    events: int
    held_by: str = ""
