"""Holds what an execution says about missing dependencies against a plain reckoning of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from talka_protocols import events as e
from talka_protocols.commit import Commit

Race = tuple[str, str, str]
"""The task that wrote second, the artifact, and the task that wrote first."""


def races(commits: list[Commit[Any]], successors: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """V1 exactly those who wrote one artifact one after the other in no order are told of, each once.

    An execution that went back says nothing: tasks may have left its graph.
    """
    writers: dict[str, str] = {}
    expected: list[Race] = []
    told: list[Race] = []
    for event in (event for commit in commits for _, _, event in commit.events()):
        match event:
            case e.RollbackStarted() | e.ExecutionRestarted():
                return
            case e.TaskAdopted():
                writers |= dict.fromkeys(event.artifacts, event.task_id)
            case e.ArtifactsWritten():
                for name in event.artifacts:
                    first = writers.get(name, event.task_id)
                    race = (event.task_id, name, first)
                    is_ordered = first == event.task_id or _are_ordered(successors, first, event.task_id)
                    if not is_ordered and race not in expected:
                        expected.append(race)
                    writers[name] = event.task_id
            case e.DependencyViolationDetected():
                told.append((event.task_id, event.artifact, event.other_task))
            case _:
                pass
    if sorted(told) != sorted(expected):
        yield f"V1 told of the races {sorted(told)}, and there were {sorted(expected)}"


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
