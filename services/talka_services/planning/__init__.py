"""Better schedules than a planner has time for, searched for as long as somebody allows."""

from talka_services.planning.improving import improved

__all__ = ["improved"]
