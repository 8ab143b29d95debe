"""What a trigger remembers."""

from __future__ import annotations

from typing import assert_never

from msgspec import Raw, Struct, field

from talka_protocols.events import (
    FiringRefused,
    FiringSettled,
    RequestRefused,
    TriggerCreated,
    TriggerDeleted,
    TriggerEvent,
    TriggerFailed,
    TriggerFired,
    TriggerPaused,
    TriggerResumed,
)
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import ClaimCheck, Workflow

RECENT_KEPT = 1_000
"""So many firings are remembered; a repeat of an older event starts nothing twice either, but is recorded."""
REQUESTS_KEPT = 64


class Firing(Struct):
    """Something that was fired and is not on record anywhere else yet; ``at`` is when, in milliseconds.

    ``generation`` says which workflow it starts: a trigger may have been deleted and made anew.
    """

    execution_id: str
    at: int
    generation: int
    signal: str = ""
    values: Raw = Raw(b"null")


class Definition(Struct):
    """The workflow that is started: itself, and its claim check if it is stored apart."""

    workflow: Workflow | None = None
    stored: ClaimCheck | None = None


class TriggerRecord(Struct):
    """One trigger's state; instants are milliseconds since the epoch, 0 for none.

    Events behind position ``after`` of their stream count; they may come in another order, and again.
    ``recent`` has the last firings, ``requests`` the last requests by their ids;
    ``definitions`` has the workflows that are or may have to be started, by generation.
    """

    name: str
    version: int = 0
    trigger: Trigger | None = None
    is_paused: bool = False
    generation: int = 0
    after: int = 0
    fired: int = 0
    failed: int = 0
    refused: int = 0
    last_at: int = 0
    definitions: dict[str, Definition] = field(default_factory=dict[str, Definition])
    pending: dict[str, Firing] = field(default_factory=dict[str, Firing])
    recent: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    @property
    def is_active(self) -> bool:
        """Tell whether events lead to anything."""
        return self.trigger is not None and not self.is_paused

    @property
    def workflow(self) -> Workflow | None:
        """Return the workflow that is started now, if any."""
        definition = self.definitions.get(str(self.generation))
        return definition.workflow if definition is not None and self.trigger is not None else None


def evolve(state: TriggerRecord, event: TriggerEvent, at: int) -> None:
    """Remember one fact; total, and nothing else."""
    state.version += 1
    match event:
        case TriggerFired():
            state.pending[event.firing_id] = Firing(
                event.execution_id, at, state.generation, event.signal, event.values
            )
            state.fired, state.last_at = state.fired + 1, at
            _remember(state.recent, event.firing_id, RECENT_KEPT)
        case TriggerFailed():
            state.failed += 1
            _remember(state.recent, event.firing_id, RECENT_KEPT)
        case FiringSettled() | FiringRefused():
            _settle(state, event)
        case TriggerCreated():
            _create(state, event)
        case TriggerPaused():
            state.is_paused = True
            _remember(state.requests, event.request_id, REQUESTS_KEPT)
        case TriggerResumed():
            state.is_paused = False
            state.after = max(state.after, event.after)
            _remember(state.requests, event.request_id, REQUESTS_KEPT)
        case TriggerDeleted():
            state.trigger, state.is_paused = None, False
            _drop_definitions(state)
            _remember(state.requests, event.request_id, REQUESTS_KEPT)
        case RequestRefused():
            _remember(state.requests, event.request_id, REQUESTS_KEPT)
        case _:
            assert_never(event)


def _create(state: TriggerRecord, event: TriggerCreated) -> None:
    state.trigger, state.is_paused = event.trigger, False
    state.generation += 1
    state.after = max(state.after, event.after)
    state.fired = state.failed = state.refused = state.last_at = 0
    if event.workflow is not None or event.definition is not None:
        state.definitions[str(state.generation)] = Definition(event.workflow, event.definition)
    _remember(state.requests, event.request_id, REQUESTS_KEPT)


def _settle(state: TriggerRecord, event: FiringSettled | FiringRefused) -> None:
    if state.pending.pop(event.firing_id, None) is None:
        return
    state.refused += isinstance(event, FiringRefused)
    _drop_definitions(state)


def _remember(known: list[str], key: str, most: int) -> None:
    known.append(key)
    del known[:-most]


def _drop_definitions(state: TriggerRecord) -> None:
    """Forget the workflows that nothing is to be started from any more."""
    if len(state.definitions) == 1 and state.trigger is not None:
        return
    needed = {str(firing.generation) for firing in state.pending.values()}
    if state.trigger is not None:
        needed.add(str(state.generation))
    for generation in [known for known in state.definitions if known not in needed]:
        del state.definitions[generation]
