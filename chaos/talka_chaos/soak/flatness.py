"""Whether a figure that was sampled over time stays where it is, or grows.

The beginning is warming up, so the second quarter of the samples is held against the last. The medians
are compared: what goes up and down with the load, with kills and with pruning is not growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

SAMPLES_MIN = 8


class Course(Struct, frozen=True):
    """How a figure went: its median in the second quarter and in the last, and how much it may be by then."""

    early: float
    late: float
    most: float

    @property
    def is_flat(self) -> bool:
        """Tell whether it stayed where it was."""
        return self.late <= self.most


def course_of(values: Sequence[float], *, share: float, slack: float) -> Course | None:
    """Return how a figure went, None if there are too few samples to tell.

    Args:
        values: the samples, at equal intervals.
        share: by which part of it a figure may grow.
        slack: by how much it may grow besides, in the figure's own unit.
    """
    if len(values) < SAMPLES_MIN:
        return None
    quarter = len(values) // 4
    early, late = median(values[quarter : 2 * quarter]), median(values[-quarter:])
    return Course(early, late, early * (1 + share) + slack)
