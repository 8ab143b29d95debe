"""A baseline schedule: in which order, and after whom, an execution's tasks are meant to begin."""

from __future__ import annotations

from msgspec import Struct


class Baseline(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a planner proposes; numbers of tasks are their places in the workflow.

    ``leads`` says of each task how many seconds before the end of the schedule
    it begins; the largest lead goes first. ``links`` are pairs (before, after)
    of tasks of which the second takes over resources that the first has held,
    and so does not begin earlier. ``makespan_s`` is the length of the schedule.
    """

    leads: tuple[float, ...]
    links: tuple[tuple[int, int], ...] = ()
    makespan_s: float = 0.0
