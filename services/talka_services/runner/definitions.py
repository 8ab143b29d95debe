"""Large definitions: stored once by digest, loaded before anything is decided or folded."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec.structs import replace

from talka_protocols.events import (
    ExecutionAccepted,
    Origin,
    PlanAccepted,
    ScheduleSet,
    TaskAdopted,
    TasksAdded,
    TriggerCreated,
)
from talka_protocols.messages import CreateTrigger, PutSchedule, StartExecution, SubmitWorkflow
from talka_protocols.ports import Blobs
from talka_protocols.workflow import ClaimCheck, Workflow

CACHED = 16
_HOLDERS = (
    CreateTrigger,
    ExecutionAccepted,
    PlanAccepted,
    PutSchedule,
    ScheduleSet,
    StartExecution,
    SubmitWorkflow,
    TriggerCreated,
)
_FORKS = (ExecutionAccepted, PlanAccepted, StartExecution, SubmitWorkflow)
WITH_DEFINITION: frozenset[type] = frozenset(_HOLDERS)
"""The types of messages and events that hold a workflow, or name a stored one."""

T = TypeVar("T")
_decoder = msgspec.json.Decoder(Workflow)
_adoptions = msgspec.json.Decoder(tuple[TaskAdopted, ...])
_additions = msgspec.json.Decoder(tuple[TasksAdded, ...])


class Definitions:
    """Loads workflows by claim check and remembers the last few."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._known: dict[str, Workflow] = {}

    async def load(self, claim: ClaimCheck) -> Workflow:
        """Return the workflow that a claim check names.

        Raises:
            BrokenHistoryError: the object is gone or damaged.
        """
        workflow = self._known.get(claim.sha256)
        if workflow is None:
            workflow = _decoder.decode(await self._blobs.get(claim))
            self._known[claim.sha256] = workflow
            if len(self._known) > CACHED:
                del self._known[next(iter(self._known))]
        return workflow

    async def complete(self, item: T) -> T:
        """Return the event or message with its workflow, and what a fork takes over, in place."""
        if isinstance(item, _FORKS) and item.origin is not None:
            item = replace(item, origin=await self._origin(item.origin))
        if isinstance(item, _HOLDERS) and item.definition is not None and item.workflow is None:
            return replace(item, workflow=await self.load(item.definition))
        return item

    async def _origin(self, origin: Origin) -> Origin:
        if origin.claim is not None and not origin.tasks:
            origin = replace(origin, tasks=_adoptions.decode(await self._blobs.get(origin.claim)))
        if origin.added_claim is not None and not origin.added:
            origin = replace(origin, added=_additions.decode(await self._blobs.get(origin.added_claim)))
        return origin


def stored_form(item: T) -> T:
    """Return the event or message as it travels: a stored definition is only named."""
    if type(item) not in WITH_DEFINITION:
        return item
    if isinstance(item, _FORKS) and item.origin is not None:
        item = replace(item, origin=_named(item.origin))
    if isinstance(item, _HOLDERS) and item.definition is not None and item.workflow is not None:
        return replace(item, workflow=None)
    return item


def _named(origin: Origin) -> Origin:
    tasks = origin.tasks if origin.claim is None else ()
    added = origin.added if origin.added_claim is None else ()
    return replace(origin, tasks=tasks, added=added)
