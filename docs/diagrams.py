"""Draws the state diagrams and the table of events in concepts.md from the code that obeys them.

``python docs/diagrams.py`` rewrites the page between its markers; with
``--check`` it changes nothing and exits with 1 if the page is not as drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import get_args

from talka_protocols import events
from talka_protocols.states import (
    EXECUTION_TRANSITIONS,
    FINAL_EXECUTION_STATES,
    FINAL_TASK_STATUSES,
    TASK_TRANSITIONS,
    ExecutionState,
    TaskStatus,
)

PAGE = Path(__file__).with_name("concepts.md")

LOGS = {
    "execution.ID": events.ExecutionEvent,
    "plan.ID": events.PlanEvent,
    "pool.NAME": events.PoolEvent,
    "schedule.NAME": events.ScheduleEvent,
    "trigger.NAME": events.TriggerEvent,
    "worker.ID": events.WorkerEvent,
    "shard.N": events.ShardEvent,
    "alert.alerts": events.AlertEvent,
}


def diagram(
    transitions: Mapping[StrEnum, frozenset[StrEnum]], first: StrEnum, final: frozenset[StrEnum]
) -> str:
    """Return a mermaid state diagram of a transition table."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    reached = dict.fromkeys([first])
    for state, successors in transitions.items():
        for successor in sorted(successors, key=list(type(state)).index):
            lines.append(f"    {state} --> {successor}")
            reached[successor] = None
    lines += [f"    {state} --> [*]" for state in reached if state in final]
    return "\n".join([*lines, "```"])


def place(event: type) -> tuple[str, int]:
    """Return which module defines an event, and where there."""
    return event.__module__, list(vars(sys.modules[event.__module__])).index(event.__name__)


def event_table() -> str:
    """Return a table of every event that a log can hold, with what it means."""
    rows = ["| log | event | meaning |", "|---|---|---|"]
    for log, union in LOGS.items():
        for number, event in enumerate(sorted(get_args(union), key=place)):
            meaning = " ".join((event.__doc__ or "").split("\n\n")[0].split())
            rows.append(f"| {f'`{log}`' if number == 0 else ''} | `{event.__name__}` | {meaning} |")
    return "\n".join(rows)


def parts() -> Iterator[tuple[str, str]]:
    """Yield each generated part with the name of its marker."""
    yield "tasks", diagram(TASK_TRANSITIONS, TaskStatus.PENDING, FINAL_TASK_STATUSES)
    executions = diagram(EXECUTION_TRANSITIONS, ExecutionState.ACCEPTED, FINAL_EXECUTION_STATES)
    yield "executions", executions.replace("    accepted -->", "    [*] --> rejected\n    accepted -->", 1)
    yield "events", event_table()


def drawn(page: str) -> str:
    """Return the page with every part as the code has it now."""
    for name, content in parts():
        begin, end = f"<!-- drawn by docs/diagrams.py: {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = page.partition(begin)
        _, is_marked, after = rest.partition(end)
        assert is_marked, f"concepts.md has the markers of {name}"
        page = f"{before}{begin}{content}\n{end}{after}"
    return page


def main(arguments: list[str]) -> int:
    """Rewrite the page, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = drawn(page)
    if "--check" in arguments:
        return int(page != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
