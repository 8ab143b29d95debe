"""Better orders for a workflow's tasks: schedules from rules, and a search that improves them."""

from talka_core.search.baselines import baseline_of, fault_of, ruled
from talka_core.search.improvement import Search, begin, proceed
from talka_core.search.project import Project, project_of

__all__ = ["Project", "Search", "baseline_of", "begin", "fault_of", "proceed", "project_of", "ruled"]
