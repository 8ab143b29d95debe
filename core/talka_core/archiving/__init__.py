"""Archiving: which executions may go, and how much of the logs that they share may go with them."""

from talka_core.archiving.departing import is_known
from talka_core.archiving.families import Family, Plan, Standing, plan
from talka_core.archiving.pruning import Extent, executions_in

__all__ = ["Extent", "Family", "Plan", "Standing", "executions_in", "is_known", "plan"]
