"""The read model: what the logs say, as rows that can be searched, counted and summed up.

Rows follow from the logs alone, commit by commit, so a model that is made anew
equals one that has been kept up to date, wherever either was interrupted.
"""

from talka_core.readmodel.anchors import anchor_of
from talka_core.readmodel.changes import FORGOTTEN, Changes
from talka_core.readmodel.executions import fold_execution, rows_of, unreadable
from talka_core.readmodel.pools import fold_pool
from talka_core.readmodel.rows import TABLES, AllocationRow, AnchorRow, AttemptRow, ExecutionRow, Row, TaskRow
from talka_core.readmodel.statistics import KindStatistics, Period, statistics, trend

__all__ = [
    "FORGOTTEN",
    "TABLES",
    "AllocationRow",
    "AnchorRow",
    "AttemptRow",
    "Changes",
    "ExecutionRow",
    "KindStatistics",
    "Period",
    "Row",
    "TaskRow",
    "anchor_of",
    "fold_execution",
    "fold_pool",
    "rows_of",
    "statistics",
    "trend",
    "unreadable",
]
