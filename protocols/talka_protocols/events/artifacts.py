"""``execution.<id>``: which artifacts tasks wrote and read, and what that says about missing dependencies."""

from __future__ import annotations

from enum import StrEnum

from talka_protocols.enums import quick
from talka_protocols.events.fact import Fact
from talka_protocols.workflow import ClaimCheck, Dependency


@quick
class ViolationKind(StrEnum):
    """What two tasks did with one artifact although nothing puts them in an order."""

    UNORDERED_READ = "unordered_read"
    RACING_WRITE = "racing_write"


class ArtifactsWritten(Fact, frozen=True, gc=False):
    """The attempt wrote these artifacts; one without a claim check was only seen to change on the worker."""

    task_id: str
    attempt: int
    artifacts: dict[str, ClaimCheck | None]


class ArtifactRead(Fact, frozen=True, gc=False):
    """The attempt read an artifact as the task ``written_by`` had written it."""

    task_id: str
    attempt: int
    sequence: int
    name: str
    written_by: str


class DependencyViolationDetected(Fact, frozen=True, gc=False):
    """Two tasks touched one artifact and no dependency orders them; ``proposed`` would."""

    task_id: str
    artifact: str
    other_task: str
    kind: ViolationKind
    proposed: Dependency
