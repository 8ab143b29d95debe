"""Deadlines: what is due when, and the order of tasks that keeps as many of them as it can."""

from talka_core.deadlines.due import Due, dues_of, has_deadlines, latest_starts, urgencies
from talka_core.deadlines.ordering import TASKS_ORDERED_MAX, order_of

__all__ = [
    "TASKS_ORDERED_MAX",
    "Due",
    "dues_of",
    "has_deadlines",
    "latest_starts",
    "order_of",
    "urgencies",
]
