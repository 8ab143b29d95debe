"""What must be true when the executions of a world at rest are archived, judged on copies of their states.

T1 what is over may go; T2 what is left of its log folds to the state that the whole of it folds to;
T3 nothing is owed by it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from talka_core.behaviour import step
from talka_core.history import FOLDS, advance, packed, unpacked
from talka_core.scheduler import SCHEDULER
from talka_protocols.events import ExecutionArchived
from talka_protocols.messages import ArchiveExecution
from talka_protocols.subjects import EXECUTION


def archiving_findings(executions: dict[str, Any], now_ms: int, kinds: set[str]) -> Iterator[str]:
    """Yield what is wrong with the archiving of executions by id, and add the kinds of facts it led to."""
    fold = FOLDS[EXECUTION]
    for key, state in executions.items():
        if not SCHEDULER.is_over(state):
            continue
        archived = unpacked(fold, packed(fold, state))
        if archived.workflow is None:
            archived.workflow = state.workflow
        fold.restore(archived)
        asked = ArchiveExecution(key, "archive", state.version, f"file:///{key}", "", key)
        events, effects = step(SCHEDULER, archived, asked, now_ms)
        kinds.update(type(event).__name__ for event in events)
        if [type(event) for event in events] != [ExecutionArchived] or effects:
            yield f"T1 {key} may not be archived: {events} {effects}"
            continue
        left = fold.initial(key)
        advance(fold, left, state.version + 1, events[0], now_ms)
        if packed(fold, left) != packed(fold, archived):
            yield f"T2 {key} folds to another state without what is archived"
        if owed := list(SCHEDULER.resume(archived)):
            yield f"T3 {key} is archived and owes {owed}"
