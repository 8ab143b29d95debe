"""Holds what an execution says about missing dependencies against a plain reckoning of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import ViolationKind

Found = tuple[str, str, str, ViolationKind]
"""Whom it is about, the artifact, the other task, and what is wrong between them."""


def undeclared(commits: list[Commit[Any]], successors: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """V1 exactly those are told of who wrote, or wrote and read, one artifact in no order, each once.

    An execution that went back says nothing: tasks may have left its graph.
    """
    writers: dict[str, str] = {}
    readers: dict[str, dict[str, None]] = {}
    expected: dict[Found, None] = {}
    told: list[Found] = []

    def compare(task_id: str, name: str, other: str, kind: ViolationKind) -> None:
        if task_id != other and not _are_ordered(successors, task_id, other):
            expected[task_id, name, other, kind] = None

    for event in (event for commit in commits for _, _, event in commit.events()):
        match event:
            case e.RollbackStarted() | e.ExecutionRestarted():
                return
            case e.TaskAdopted():
                writers |= dict.fromkeys(event.artifacts, event.task_id)
            case e.ArtifactRead():
                compare(event.task_id, event.name, event.written_by, ViolationKind.UNORDERED_READ)
                readers.setdefault(event.name, {})[event.task_id] = None
            case e.ArtifactsWritten():
                for name in event.artifacts:
                    first = writers.get(name, event.task_id)
                    compare(event.task_id, name, first, ViolationKind.RACING_WRITE)
                    for reader in readers.get(name, ()):
                        compare(reader, name, event.task_id, ViolationKind.UNORDERED_READ)
                    writers[name] = event.task_id
            case e.DependencyViolationDetected():
                told.append((event.task_id, event.artifact, event.other_task, event.kind))
            case _:
                pass
    if sorted(told) != sorted(expected):
        yield f"V1 told of {sorted(told)}, and there were {sorted(expected)}"


def _are_ordered(successors: Mapping[str, Sequence[str]], one: str, other: str) -> bool:
    return other in _behind(successors, one) or one in _behind(successors, other)


def _behind(successors: Mapping[str, Sequence[str]], task_id: str) -> set[str]:
    found: set[str] = set()
    ahead = [task_id]
    while ahead:
        fresh = set(successors[ahead.pop()]) - found
        found |= fresh
        ahead += fresh
    return found
