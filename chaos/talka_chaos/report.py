"""What became of one world."""

from __future__ import annotations

from msgspec import Struct


class Report(Struct, frozen=True):
    """What became of one seed; a healthy run has no findings.

    ``injected`` counts the faults that happened, by kind; ``events`` and ``allocations`` were audited;
    ``kinds`` are those of all events that are on record, and the features that these show.
    """

    seed: int
    findings: tuple[str, ...]
    digest: str
    happenings: int
    virtual_s: float
    tasks: int
    injected: dict[str, int]
    events: int
    allocations: int
    kinds: frozenset[str] = frozenset()

    @property
    def is_healthy(self) -> bool:
        """Tell whether nothing was wrong."""
        return not self.findings
