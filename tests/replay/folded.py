"""Writes what the golden histories fold to after every event, for the page's own fold to be held against.

``python -m tests.replay.folded`` writes ``page/test/histories/NAME.json``: for each log of an execution its
events as the gateway sends them, and after each of them the statuses that it changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from talka_core.steps import steps
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.events import Event
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.client.tailing import event_documents

HISTORIES = Path(__file__).parent / "histories"
FOLDED = Path(__file__).parents[2] / "page" / "test" / "histories"


def folded(path: Path) -> bytes:
    """Return one history's executions as JSON."""
    logs: dict[LogName, list[Commit[Event]]] = {}
    for text in path.read_bytes().splitlines():
        fields = msgspec.json.decode(text, type=dict[str, Raw])
        log = msgspec.json.decode(fields["log"], type=LogName)
        if "commit" in fields and log.kind == EXECUTION:
            logs.setdefault(log, []).append(decode_commit(log, bytes(fields["commit"])))
    executions: list[dict[str, Any]] = [
        {
            "id": log.key,
            "events": [each for commit in commits for each in event_documents(log, 0, commit)],
            "steps": [
                {
                    "execution": step.execution and step.execution[1],
                    "tasks": {task_id: after for task_id, (_, after) in step.tasks.items()},
                }
                for step in steps(log.key, commits)
            ],
        }
        for log, commits in logs.items()
    ]
    return msgspec.json.encode(executions) + b"\n"


def main() -> None:
    """Write every history anew."""
    FOLDED.mkdir(parents=True, exist_ok=True)
    for path in sorted(HISTORIES.glob("*.jsonl")):
        (FOLDED / f"{path.stem}.json").write_bytes(folded(path))


if __name__ == "__main__":
    main()
